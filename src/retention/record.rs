//! The events that record a purge.

#[cfg(feature = "retention-rules")]
use serde_json::{Map, Value};

use super::plan::RetentionPlan;
use super::purge_preview::PurgePreview;
use super::purge_report::PurgeReport;
#[cfg(feature = "retention-rules")]
use super::rules::RetentionRules;
use crate::event::{Actor, AuditEvent, EventType, Phase};
use crate::store::duration_in_words;

/// Returns the event that is written before anything is deleted.
pub(super) fn started(plan: &RetentionPlan, actor: &Actor, preview: &PurgePreview) -> AuditEvent {
    let mut event = event(plan, actor, preview, &preview.rules);
    event.phase = Phase::Started;
    event.truncate_to_limits();
    event
}

/// Returns the event that is written afterwards. `ended` is `done`, `interrupted` or `failed`.
pub(super) fn completed(
    started: &AuditEvent,
    plan: &RetentionPlan,
    preview: &PurgePreview,
    report: &PurgeReport,
    ended: &str,
) -> AuditEvent {
    let mut event = event(plan, &started.actor, preview, &report.rules);
    event.request.started_event_id = Some(started.event_id);
    event.details.insert("deleted".into(), report.deleted.into());
    event.details.insert("ended".into(), ended.into());
    if report.unsealed > 0 {
        event.details.insert("unsealed".into(), report.unsealed.into());
    }
    event.truncate_to_limits();
    event
}

fn event(plan: &RetentionPlan, actor: &Actor, preview: &PurgePreview, rules: &[u64]) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::AUDIT_PURGE);
    event.actor = actor.clone();
    let details = &mut event.details;
    details.insert("plan".into(), plan.name().into());
    if let Some(cutoff) = plan.cutoff(preview.as_of) {
        details.insert("cutoff".into(), cutoff.to_string().into());
    }
    match plan {
        RetentionPlan::Before(_) => {}
        RetentionPlan::OlderThan { text, .. } => {
            details.insert("older_than".into(), text.as_str().into());
        }
        RetentionPlan::Watermarks { high, low } => {
            details.insert("high_watermark".into(), (*high).into());
            details.insert("low_watermark".into(), (*low).into());
        }
        #[cfg(feature = "retention-rules")]
        RetentionPlan::Rules(list) => {
            details.insert("as_of".into(), preview.as_of.to_string().into());
            add_rules(details, list, rules);
        }
    }
    #[cfg(not(feature = "retention-rules"))]
    let _ = rules;
    if let Some(floor) = preview.floor {
        details.insert("floor".into(), duration_in_words(floor).into());
        details.insert("kept_by_floor".into(), preview.kept_by_floor.into());
    }
    if preview.open > 0 {
        details.insert("open".into(), preview.open.into());
    }
    if let Some(range) = preview.range {
        range.write_to(details);
    }
    event
}

/// Adds each rule with its number of events. Of rules that are too long for an event, those with events, without their patterns.
#[cfg(feature = "retention-rules")]
fn add_rules(details: &mut Map<String, Value>, list: &RetentionRules, counts: &[u64]) {
    use sha2::{Digest as _, Sha256};

    let rules: Vec<Map<String, Value>> = list.rules().iter().map(|rule| rule.to_json()).collect();
    let text = serde_json::to_string(&rules).unwrap_or_default();
    let digest: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    details.insert("rules_sha256".into(), digest.into());
    let with_counts = rules.into_iter().zip(counts).zip(1_u64..);
    let listed: Vec<Value> = if text.len() <= MAX_RULES_BYTES {
        with_counts
            .map(|((mut rule, events), _)| {
                rule.insert("events".into(), (*events).into());
                rule.into()
            })
            .collect()
    } else {
        with_counts
            .filter(|((_, events), _)| **events > 0)
            .take(MAX_COUNTS)
            .map(|((_, events), number)| serde_json::json!({"rule": number, "events": events}))
            .collect()
    };
    details.insert("rules".into(), listed.into());
}

/// The member of `details` with a random number, of an event that a retention key has signed. See `RemovalSigner::sign_event`.
pub(super) const NONCE: &str = "nonce";
/// Half of what `details` may have.
#[cfg(feature = "retention-rules")]
const MAX_RULES_BYTES: usize = 8 * 1024;
#[cfg(feature = "retention-rules")]
const MAX_COUNTS: usize = 200;
