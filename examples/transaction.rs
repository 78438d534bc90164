//! An effect and its event in one transaction of the app's own: both are committed, or neither is.
//!
//! `cargo run --example transaction`, then the commands that it prints. On PostgreSQL it is the same with `PgPool`,
//! `PostgresStore::from_pool` and `$1`.

use std::error::Error;
use std::net::SocketAddr;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Router, routing};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use tower_audit::store::{OpenOptions, sqlite::SqliteStore};
use tower_audit::{AuditContext, AuditLayer, AuditLog, AuditPolicy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = SqliteConnectOptions::new().filename("app.db").create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, balance INTEGER CHECK (balance >= 0))")
        .execute(&pool)
        .await?;
    sqlx::query("INSERT OR IGNORE INTO accounts VALUES ('alice', 100), ('bob', 0)").execute(&pool).await?;

    let store = SqliteStore::from_pool(&pool, OpenOptions::default()).await?; // 1: the log beside the app's tables
    let log = AuditLog::builder().store(store).open().await?;
    let app = Router::new()
        .route("/transfers/{from}/{to}/{amount}", routing::post(transfer))
        .layer(AuditLayer::new(&log, AuditPolicy::mutations()))
        .with_state(pool);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("{COMMANDS}");
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    log.close().await?;
    Ok(())
}

async fn transfer(
    State(pool): State<SqlitePool>,
    audit: AuditContext,
    Path((from, to, amount)): Path<(String, String, u32)>,
) -> StatusCode {
    audit.classify("account", "transfer").detail("amount", amount);
    audit.expect_status(StatusCode::NO_CONTENT); // 2: what the handler answers with if it commits
    match try_transfer(&pool, &audit, &from, &to, amount).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(error) => {
            eprintln!("rolled back: {error}");
            StatusCode::CONFLICT // 4: nothing was done; the layer records the request with this
        }
    }
}

async fn try_transfer(
    pool: &SqlitePool,
    audit: &AuditContext,
    from: &str,
    to: &str,
    amount: u32,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // `IMMEDIATE`: who writes later on waits for the lock here, and is not refused it half way.
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    for (name, change) in [(from, -i64::from(amount)), (to, i64::from(amount))] {
        let done = sqlx::query("UPDATE accounts SET balance = balance + ? WHERE name = ?")
            .bind(change)
            .bind(name)
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Err(format!("there is no account {name}").into());
        }
    }
    audit.record_in(&mut tx).await?; // 3: the event, in the same transaction
    Ok(tx.commit().await?)
}

const COMMANDS: &str = "\
listening on http://127.0.0.1:3000, accounts and audit log in app.db; try

  curl -i -X POST http://127.0.0.1:3000/transfers/alice/bob/30
  curl -i -X POST http://127.0.0.1:3000/transfers/bob/alice/5000
  cargo run -q --features cli -- query --url sqlite:app.db
";
