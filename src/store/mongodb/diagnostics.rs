//! Diagnostics of the server, the account and the collections.

use mongodb::bson::{Document, doc};

use super::config::Config;
use super::connection::Connection;
use super::schema::Survey;
use super::time::time_conditions;
use super::write_reply::integer;
use crate::store::{Diagnostic, StoreError, StoreErrorKind};

pub(super) async fn inspect(connection: &Connection, config: &Config) -> Result<Vec<Diagnostic>, StoreError> {
    let mut diagnostics = server(connection, config).await?;
    diagnostics.extend(collections(connection, config).await?);
    diagnostics.extend(account(connection).await?);
    diagnostics.extend(documents(connection, config).await?);
    Ok(diagnostics)
}

async fn server(connection: &Connection, config: &Config) -> Result<Vec<Diagnostic>, StoreError> {
    let mut diagnostics = Vec::new();
    let info = connection.run(DOING, doc! {"buildInfo": 1}).await?;
    let version: String = info.get_str("version").unwrap_or("of an unknown version").chars().take(32).collect();
    diagnostics.push(Diagnostic::ok("server", format!("MongoDB {version}, or one that says so")));
    let hello = connection.run(DOING, doc! {"hello": 1}).await?;
    let members = hello.get_array("hosts").map_or(0, Vec::len);
    diagnostics.push(match (hello.contains_key("setName"), members) {
        _ if hello.get_str("msg").is_ok_and(|message| message == "isdbgrid") => Diagnostic::warning(
            "servers",
            "a router of a sharded cluster: in a sharded collection, ids are unique within a shard alone",
            "leave the log's collections unsharded",
        ),
        (false, _) => Diagnostic::warning(
            "servers",
            "one server, no replica set: it is in nobody's place when it fails, and a health check inserts no event",
            "make it a replica set of three members",
        ),
        (true, members @ ..=2) => Diagnostic::warning(
            "servers",
            format!("a replica set with {members} members with data: with one of them down, there is no majority, or no copy"),
            "add members, to have three",
        ),
        (true, members) => Diagnostic::ok("servers", format!("a replica set with {members} members")),
    });
    // An account without the right to ask sees nothing, and not every server has the command.
    if let Ok(status) = connection.run_on_admin(DOING, doc! {"replSetGetStatus": 1}).await {
        let late = late_members(&status);
        if !late.is_empty() {
            diagnostics.push(Diagnostic::warning(
                "servers",
                late.join(", "),
                "start them, or look at their disks and network: without a majority of the members no event is accepted",
            ));
        }
    }
    let is_local = config.options.hosts.iter().all(|host| {
        let host = host.to_string();
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        matches!(name, "localhost" | "127.0.0.1" | "[::1]") || host.starts_with('/')
    });
    diagnostics.push(match (config.is_encrypted(), config.is_unverified, is_local) {
        (true, true, _) => Diagnostic::warning(
            "connection",
            "encrypted, and the server's certificate is not checked: anyone on the way can be the server",
            "remove `tlsInsecure` and `tlsAllowInvalidCertificates`, and name the authority by `tlsCAFile`",
        ),
        (true, false, _) => Diagnostic::ok("connection", "encrypted"),
        (false, _, true) => Diagnostic::ok("connection", "not encrypted, to this machine"),
        (false, _, false) => Diagnostic::warning(
            "connection",
            "not encrypted, to another machine: events can be read and changed on the way",
            "add tls=true to the URL",
        ),
    });
    diagnostics.push(Diagnostic::ok("durability", "every write is sent with w=majority and j=true"));
    Ok(diagnostics)
}

/// Names the members of a replica set that are down, and those whose newest operation is older than the primary's.
fn late_members(status: &Document) -> Vec<String> {
    let members: Vec<_> =
        status.get_array("members").into_iter().flatten().filter_map(|member| member.as_document()).collect();
    let state = |member: &Document| member.get_str("stateStr").unwrap_or_default().to_owned();
    let newest_of = |member: &Document| member.get_datetime("optimeDate").ok().map(|time| time.timestamp_millis());
    let primary = members.iter().find(|member| state(member) == "PRIMARY").and_then(|primary| newest_of(primary));
    let late = |member: &&Document| {
        let name: String = member.get_str("name").unwrap_or_default().chars().take(64).collect();
        match &*state(member) {
            "PRIMARY" | "ARBITER" => None,
            "SECONDARY" => {
                let behind = (primary? - newest_of(member)?) / 1000;
                (behind >= BEHIND_SECONDS).then(|| format!("{name:?} is {behind} s behind the primary"))
            }
            state => Some(format!("{name:?} is {state:?}")),
        }
    };
    members.iter().filter_map(late).collect()
}

async fn collections(connection: &Connection, config: &Config) -> Result<Vec<Diagnostic>, StoreError> {
    let survey = match Survey::of(connection, &config.names, DOING).await {
        Err(error) if error.kind() == StoreErrorKind::Denied => {
            return Ok(vec![Diagnostic::warning(
                "collections",
                "this account may not look at collections and indexes: nobody checks whether events expire",
                "give it `listCollections` on the database and `listIndexes` on the log's collections",
            )]);
        }
        survey => survey?,
    };
    let mut diagnostics = Vec::new();
    for obstacle in &survey.obstacles {
        diagnostics.push(Diagnostic::error(
            "collections",
            obstacle.text.clone(),
            format!("if nobody needs it, run `{}` in the server's shell", obstacle.remedy),
        ));
    }
    if !survey.missing.is_empty() {
        diagnostics.push(Diagnostic::error(
            "collections",
            format!("missing: {}", survey.missing.join(", ")),
            "run `tower-audit migrate`",
        ));
    }
    if diagnostics.is_empty() {
        diagnostics.push(Diagnostic::ok("collections", "all of them; nothing expires"));
    }
    diagnostics.push(match &*survey.missing_indexes {
        [] => Diagnostic::ok("indexes", "all of them"),
        missing => Diagnostic::warning(
            "indexes",
            format!("missing: {}: what they are for takes as long as the log is", missing.join(", ")),
            "run `tower-audit migrate`, unless nobody asks for that",
        ),
    });
    Ok(diagnostics)
}

async fn account(connection: &Connection) -> Result<Vec<Diagnostic>, StoreError> {
    let status = match connection.run_on_admin(DOING, doc! {"connectionStatus": 1}).await {
        Ok(status) => status,
        // Not every server has the command.
        Err(_) => return Ok(Vec::new()),
    };
    let info = status.get_document("authInfo").cloned().unwrap_or_default();
    let users = info.get_array("authenticatedUsers").map_or(0, Vec::len);
    if users == 0 {
        return Ok(vec![Diagnostic::warning(
            "role",
            "the server lets us in without an account: anyone who reaches it can change events",
            "turn on access control, and give the app the role of an appender",
        )]);
    }
    let roles = info.get_array("authenticatedUserRoles").map(Vec::as_slice).unwrap_or_default();
    let can_change = |role: &Document| {
        role.get_str("role").is_ok_and(|role| {
            ["root", "readWrite", "readWriteAnyDatabase", "dbOwner", "restore", "__system"].contains(&role)
        })
    };
    if roles.iter().filter_map(|role| role.as_document()).any(can_change) {
        return Ok(vec![Diagnostic::warning(
            "role",
            "this account has a role that can change and remove events",
            "give the app the role of an appender: its rights are on the page of the store",
        )]);
    }
    Ok(vec![Diagnostic::ok("role", "an account without a built-in role that can change events")])
}

/// The documents that no listing shows, and the requests that are open.
async fn documents(connection: &Connection, config: &Config) -> Result<Vec<Diagnostic>, StoreError> {
    let mut diagnostics = Vec::new();
    let in_time = time_conditions(None, None, None);
    let count = |filter: Document| vec![doc! {"$match": filter}, doc! {"$group": {"_id": 1, "count": {"$sum": 1_i64}}}];
    let foreign = doc! {"$nor": in_time};
    let reading = connection.read(DOING).await?;
    let strange = match reading.aggregate(&config.names.events, count(foreign)).await {
        Err(error) if error.kind() == StoreErrorKind::Denied => return Ok(diagnostics),
        groups => groups?.first().and_then(|group| integer(group.get("count"))).unwrap_or(0),
    };
    if strange > 0 {
        diagnostics.push(Diagnostic::warning(
            "events",
            format!("{strange} documents have no time of an event in `created_at`: no listing shows them"),
            "look at them in the server's shell: no log of this crate makes such documents",
        ));
    }
    let open = reading.aggregate(&config.names.started, count(doc! {})).await?;
    let open = open.first().and_then(|group| integer(group.get("count"))).unwrap_or(0);
    diagnostics.push(Diagnostic::ok("open requests", open.to_string()));
    Ok(diagnostics)
}

const DOING: &str = "inspecting the server";
/// Times of operations have whole seconds, and an idle primary writes one every ten.
const BEHIND_SECONDS: i64 = 20;

#[cfg(test)]
mod tests {
    use mongodb::bson::DateTime;

    use super::*;

    #[test]
    fn members_that_are_down_or_behind_are_named() {
        let member = |name: &str, state: &str, seconds: i64| {
            doc! {"name": name, "stateStr": state, "optimeDate": DateTime::from_millis(seconds * 1000)}
        };
        let members = [
            member("a:27017", "PRIMARY", 1000),
            member("b:27017", "SECONDARY", 990),
            member("c:27017", "SECONDARY", 940),
            member("d:27017", "(not reachable/healthy)", 0),
            member("e:27017", "ARBITER", 0),
        ];
        assert_eq!(
            late_members(&doc! {"members": members.to_vec()}),
            ["\"c:27017\" is 60 s behind the primary", "\"d:27017\" is \"(not reachable/healthy)\""]
        );
        assert!(late_members(&doc! {"members": members[..2].to_vec()}).is_empty());
        assert!(late_members(&doc! {"ok": 1}).is_empty());
    }
}
