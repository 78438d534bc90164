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

/// The columns of a store's row.
fn row_of(name: &str) -> [bool; 6] {
    let begin = format!("| [`{name}:`]");
    let row = PAGE.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{name} has no row"));
    let cells: Vec<bool> = row.split('|').skip(3).map(|cell| cell.trim() == "yes").take(6).collect();
    cells.try_into().expect("six columns")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_is_what_the_store_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut urls = vec![format!("sqlite:{}", folder.path().join("a.db").display()), "tracing:audit".to_owned()];
    #[cfg(all(feature = "jsonl", unix))]
    urls.push(format!("jsonl:{}", folder.path().join("a.jsonl").display()));
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
    for store in &stores {
        let name = store.capabilities().name;
        assert_eq!(row_of(name), parts_of(&**store), "{name}: read, purge, erase, recovery, seal, same transaction");
    }
}
