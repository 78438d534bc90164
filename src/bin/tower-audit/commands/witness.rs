//! `witness`: has witnesses cosign the newest checkpoint, and keeps it.

use std::io::Write as _;
use std::path::Path;

use http::StatusCode;
use tower_audit::seal::{Checkpoint, SignedNote, TrustPolicy, VerifierKey, verify_consistency};
use tower_audit::sealing::{CosignRequest, trusted_keys};
use tower_audit::store::AuditStore;

use super::open_store::{OnMissing, sealing, with_store};
use super::small_file::read;
use crate::args::WitnessArgs;
use crate::error::{CliError, warn};
use crate::http_post::{Answer, post};
use crate::output::{AtomicFile, print_lines};

pub(crate) async fn run(url: &str, args: WitnessArgs) -> Result<(), CliError> {
    let shown = |error: &dyn std::fmt::Display| CliError::Usage(format!("--policy {}: {error}", args.policy.display()));
    let mut policy: TrustPolicy = read(&args.policy)?.parse().map_err(|error| shown(&error))?;
    let witnesses: Vec<(String, VerifierKey, String)> = policy
        .witnesses()
        .filter_map(|(name, key, url)| Some((name.to_owned(), key.clone(), url?.to_owned())))
        .collect();
    if witnesses.is_empty() {
        return Err(shown(&"no witness has a URL: expected a line `witness NAME VKEY URL`"));
    }
    with_store(url, OnMissing::Fail, async |store| {
        let Some(newest) = sealing(store)?.newest_checkpoint().await? else { return Err(CliError::NotSealed) };
        policy.add_log_keys(&trusted_keys(store, policy.log_keys()).await?);
        let distrusted = |error: &dyn std::fmt::Display| CliError::Witness(format!("the newest checkpoint: {error}"));
        let mut note: SignedNote = newest.note.parse().map_err(|error| distrusted(&error))?;
        let checkpoint = Checkpoint::open(&note, policy.log_keys()).map_err(|error| distrusted(&error))?;
        let kept = kept(&args.keep)?;
        if let Some(kept) = &kept {
            check_growth(store, &args.keep, kept, &note, &checkpoint).await?;
        }
        let mut refusals: Vec<&str> = Vec::new();
        for (name, key, url) in &witnesses {
            let old = cosigned_size(kept.as_ref(), key).filter(|old| *old <= checkpoint.size).unwrap_or(0);
            match cosign(store, &note, key, url, old, checkpoint.size).await {
                Ok(cosigned) => note = cosigned,
                // A witness that has seen another tree is the one that must be heard.
                Err(error @ CliError::Contradicted { .. }) => return Err(error),
                Err(error) => {
                    warn(&format!("{name}: {error}"));
                    refusals.push(name.as_str());
                }
            }
        }
        policy.open(&note).map_err(|error| {
            let why =
                if refusals.is_empty() { String::new() } else { format!(" ({} did not cosign)", refusals.join(", ")) };
            CliError::Witness(format!("{error}{why}; {} was left as it is", args.keep.display()))
        })?;
        let mut file = AtomicFile::new(args.keep.clone(), true)?;
        file.write_all(note.to_string().as_bytes())?;
        file.finish()?;
        let cosignatures =
            note.signatures().len() - newest.note.parse().map_or(1, |note: SignedNote| note.signatures().len());
        print_lines(&format!("{} leaves of {}, {cosignatures} cosignatures\n", checkpoint.size, checkpoint.origin))
    })
    .await
}

/// Asks one witness, and once more with the size that it knows.
async fn cosign(
    store: &dyn AuditStore,
    note: &SignedNote,
    key: &VerifierKey,
    url: &str,
    old: u64,
    size: u64,
) -> Result<SignedNote, CliError> {
    let failed = |reason: String| CliError::Witness(reason);
    let contradicted = |witnessed| CliError::Contradicted {
        holder: format!("the witness {} has cosigned", key.name()),
        witnessed,
        stored: size,
    };
    let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
    let mut old = old;
    for _ in 0..2 {
        let request = CosignRequest::new(store, note.clone(), old).await?;
        let answer = post(&url, request.to_string()).await.map_err(|error| failed(error.to_string()))?;
        let Answer { status, content_type, body } = &answer;
        match *status {
            StatusCode::OK => return request.cosigned(body, key).map_err(|error| failed(error.to_string())),
            StatusCode::CONFLICT if content_type.starts_with("text/x.tlog.size") => {
                old = body
                    .trim()
                    .parse()
                    .map_err(|_| failed(format!("it answers 409 with {:?}, and no size", excerpt(body))))?;
                // At the same size, it has another root.
                if old > size || (old == size && request.old_size == size) {
                    return Err(contradicted(old));
                }
            }
            StatusCode::UNPROCESSABLE_ENTITY => return Err(contradicted(old)),
            StatusCode::NOT_FOUND => {
                return Err(failed("it does not know this log: its operator adds the origin and the vkey".to_owned()));
            }
            StatusCode::FORBIDDEN => {
                return Err(failed(
                    "it knows another key of this log: give its operator the vkey of the sealer".to_owned(),
                ));
            }
            status => return Err(failed(format!("it answers {status}: {}", excerpt(body)))),
        }
    }
    Err(failed("it has cosigned another tree meanwhile; run it again".to_owned()))
}

/// Returns the checkpoint that was kept before; none before the first.
fn kept(path: &Path) -> Result<Option<SignedNote>, CliError> {
    if !path.exists() {
        return Ok(None);
    }
    let shown = |error: &dyn std::fmt::Display| CliError::Usage(format!("--keep {}: {error}", path.display()));
    read(path)?.parse().map(Some).map_err(|error| shown(&error))
}

/// Compares the tree with the one that was kept, whatever the witnesses have seen.
async fn check_growth(
    store: &dyn AuditStore,
    path: &Path,
    kept: &SignedNote,
    note: &SignedNote,
    checkpoint: &Checkpoint,
) -> Result<(), CliError> {
    // A restored log goes on under another origin.
    let Ok(old) = kept.text().parse::<Checkpoint>() else { return Ok(()) };
    if old.origin != checkpoint.origin || old.size == 0 {
        return Ok(());
    }
    let has_grown = old.size <= checkpoint.size && {
        let proof = CosignRequest::new(store, note.clone(), old.size).await?.proof;
        verify_consistency(old.size, &old.root, checkpoint.size, &checkpoint.root, &proof).is_ok()
    };
    match has_grown {
        true => Ok(()),
        false => Err(CliError::Contradicted {
            holder: format!("{} has", path.display()),
            witnessed: old.size,
            stored: checkpoint.size,
        }),
    }
}

/// Returns the size of the tree that this witness has cosigned in a note.
fn cosigned_size(kept: Option<&SignedNote>, key: &VerifierKey) -> Option<u64> {
    let kept = kept?;
    kept.verify(std::slice::from_ref(key)).ok()?;
    Some(kept.text().parse::<Checkpoint>().ok()?.size)
}

fn excerpt(text: &str) -> String {
    text.chars().take(200).collect()
}
