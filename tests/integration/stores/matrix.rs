//! The table of the stores says what each can: it is compared with their parts.

use std::sync::Arc;

use tower_audit::store::{self, AuditStore, MemoryStore, OpenOptions};

const PAGE: &str = include_str!("../../../docs/stores/matrix.md");

/// The columns that are parts of a store, in their order.
fn parts_of(store: &dyn AuditStore) -> [bool; 6] {
    let parts = store.parts();
    [
        parts.reader.is_some(),
        parts.admin.is_some(),
        parts.erasure.is_some(),
        parts.recovery.is_some(),
        parts.sealing.is_some(),
        parts.transactional.is_some(),
    ]
}

/// The columns of a store's row, in front of a store with these parts.
fn row_of(name: &str, target: [bool; 6]) -> [bool; 6] {
    let begin = format!("| [`{name}:`]");
    let row = PAGE.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{name} has no row"));
    let cells = row.split('|').skip(3).zip(target).map(|(cell, target)| match cell.trim() {
        "as its target" => target,
        cell => cell == "yes",
    });
    let cells: Vec<bool> = cells.collect();
    cells.try_into().expect("six columns")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_is_what_the_store_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut urls = vec![format!("sqlite:{}", folder.path().join("a.db").display()), "tracing:audit".to_owned()];
    #[cfg(all(feature = "jsonl", unix))]
    urls.push(format!("jsonl:{}", folder.path().join("a.jsonl").display()));
    #[cfg(all(feature = "duckdb", unix))]
    urls.push(crate::duckdb_library::url(&folder.path().join("a.duckdb")));
    #[cfg(feature = "mongodb")]
    urls.push(crate::mongodb_server::MongodbServer::shared().new_url());
    #[cfg(feature = "mysql")]
    {
        use crate::mariadb_server::{Server, unique};
        urls.push(format!("{}?table={}", Server::shared().url_as("root", "audit"), unique("log")));
    }
    #[cfg(feature = "postgres")]
    {
        use crate::postgres_server::{Cluster, unique};
        urls.push(format!("{}?schema={}", Cluster::shared().url("postgres"), unique("log")));
    }
    let mut stores: Vec<Arc<dyn AuditStore>> = vec![Arc::new(MemoryStore::new())];
    for url in urls {
        stores.push(store::open(&url, OpenOptions::default()).await.expect("the store opens"));
    }
    #[cfg(unix)]
    {
        let (spool, target) = (folder.path().join("spool"), folder.path().join("b.db"));
        let url = format!("spool:{}?to=sqlite:{}", spool.display(), target.display());
        stores.push(store::open(&url, OpenOptions::default()).await.expect("the store opens"));
    }
    let sqlite = row_of("sqlite", [false; 6]);
    for store in &stores {
        let name = store.capabilities().name;
        assert_eq!(
            row_of(name, sqlite),
            parts_of(&**store),
            "{name}: read, purge, erase, recovery, seal, same transaction"
        );
    }
}
