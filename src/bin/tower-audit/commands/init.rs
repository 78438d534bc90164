//! `init`: the store made anew, empty.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use tower_audit::query::Filter;

use super::{IfMissing, keeper, roles, with_store};
use crate::args::InitArgs;
use crate::exit::Failure;
use crate::progress::patiently;

pub(crate) async fn run(url: &str, args: InitArgs) -> Result<(), Failure> {
    roles::check(url, args.roles)?;
    if !args.yes {
        if !io::stdin().is_terminal() {
            return Err(Failure::Usage(
                "init destroys every event in the store, and there is no terminal to ask at: give --yes if that is \
                 meant; nothing was changed"
                    .into(),
            ));
        }
        ask(url).await?;
    }
    with_store(url, IfMissing::Create, async |store| {
        Ok(patiently("making the store anew", keeper(store, "initialised")?.init()).await?)
    })
    .await?;
    if args.roles { roles::make(url).await } else { Ok(()) }
}

/// Nothing is made before there is an answer: not even the store, if there is none yet.
async fn ask(url: &str) -> Result<(), Failure> {
    let count = with_store(url, IfMissing::Fail, async |store| match store.reader() {
        Some(reader) => Ok(patiently("counting", reader.count(&Filter::default())).await.ok()),
        None => Ok(None),
    });
    let what = match count.await.ok().flatten() {
        Some(count) => format!("all {count} events in the store"),
        None => "every event in the store, if there are any".to_owned(),
    };
    let mut stderr = io::stderr();
    write!(stderr, "This destroys {what}. Go on? [y/N] ").and_then(|()| stderr.flush()).map_err(Failure::Input)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Failure::Input)?;
    if is_yes(&answer) { Ok(()) } else { Err(Failure::Declined) }
}

fn is_yes(answer: &str) -> bool {
    let answer = answer.trim();
    answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes")
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_a_yes_is_a_yes() {
        for answer in ["y\n", "Y", "yes\r\n", " YES "] {
            assert!(super::is_yes(answer), "{answer:?}");
        }
        for answer in ["", "\n", "n", "no", "yep", "yy", "j"] {
            assert!(!super::is_yes(answer), "{answer:?}");
        }
    }
}
