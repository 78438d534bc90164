//! A statement that many reads share stays prepared.

use tower_audit::Target;
use tower_audit::query::{Field, Filter, PageQuery};

use crate::mariadb::Server;
use crate::mysql::support::{event, ok, open};

/// Closing a statement is a message that the server does not answer: over TCP, the next statement would wait for its acknowledgement.
#[tokio::test]
async fn reads_of_one_kind_close_no_statement() {
    // The counter is the whole server's.
    let server = Server::start();
    let database = server.database();
    let store = open(&database.url()).await;
    ok(store.append(&[event(0)]).await);
    let reader = store.parts().reader.expect("it is read");
    let read = async |n: u64| {
        let filter = Filter::new().user_email(format!("user{n}@example.org"));
        ok(reader.query(&PageQuery::new(filter.clone(), 10)).await);
        ok(reader.count(&filter).await);
        ok(reader.top_values(&filter, Field::Route, 5).await);
        ok(reader.query(&PageQuery::new(Filter::new().route("/nowhere"), 10)).await);
        ok(reader.query(&PageQuery::new(Filter::new().target(Target::new("order", n.to_string())), 10)).await);
        ok(reader.get(event(n).event_id).await);
    };
    let closed = || {
        let status = database.sql("SHOW GLOBAL STATUS LIKE 'Com_stmt_close'");
        status.split_whitespace().last().and_then(|number| number.parse::<u64>().ok()).expect("a number")
    };
    read(0).await;
    let before = closed();
    for n in 1..20 {
        read(n).await;
    }
    assert_eq!(closed(), before);
}
