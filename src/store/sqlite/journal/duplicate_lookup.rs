//! The look for new ids in the segments: the events of a repeated append may have left the journal.

use std::ops::RangeInclusive;

use sqlx::{AssertSqlSafe, Row as _};

use crate::event::EventId;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::id_blob::{id_bytes, id_of};
use crate::store::sqlite::segments::segment::Segment;
use crate::store::sqlite::writer_state::WriterState;

/// Returns those of the ids that are in segments.
pub(crate) async fn ids_in_segments(state: &mut WriterState, ids: &[u128]) -> Result<Vec<u128>, StoreError> {
    let (Some(least), Some(greatest)) = (ids.iter().min(), ids.iter().max()) else { return Ok(Vec::new()) };
    let span = *least..=*greatest;
    let doubtful = state.segments.iter().filter(|segment| state.id_gaps.may_contain_any(segment, &span));
    let looks: Vec<Look> = doubtful
        .map(|segment| {
            let may_contain = |id: &u128| state.id_gaps.may_contain_any(segment, &(*id..=*id));
            Look { segment: *segment, ids: ids.iter().copied().filter(may_contain).collect() }
        })
        .filter(|look| !look.ids.is_empty())
        .collect();
    let mut kept = Vec::new();
    for some in looks.chunks(SEGMENTS_AT_ONCE) {
        look_into(state, some, &mut kept).await?;
    }
    if !looks.is_empty() {
        state.id_gaps.retain(&state.segments);
    }
    Ok(kept)
}

/// The ids to look for in a segment.
#[derive(Debug)]
struct Look {
    segment: Segment,
    ids: Vec<u128>,
}

impl Look {
    /// The id whose neighbours are looked for.
    fn greatest(&self) -> u128 {
        self.ids.iter().copied().max().unwrap_or_default()
    }

    /// Selects the ids that are there, and the neighbours of the greatest. `place` is that of the look in the statement.
    fn select(&self, place: usize) -> String {
        let (n, ids, greatest) = (self.segment.n, place * 2 + 1, place * 2 + 2);
        format!(
            "SELECT {place}, {KEPT}, event_id FROM audit_segment_{n} \
                 WHERE event_id IN (SELECT unhex(value) FROM json_each(?{ids})) UNION ALL \
             SELECT {place}, {BELOW}, (SELECT CAST(max(event_id) AS BLOB) FROM audit_segment_{n} WHERE event_id < ?{greatest}) UNION ALL \
             SELECT {place}, {ABOVE}, (SELECT CAST(min(event_id) AS BLOB) FROM audit_segment_{n} WHERE event_id > ?{greatest})"
        )
    }
}

/// Looks into some segments with one statement.
async fn look_into(state: &mut WriterState, looks: &[Look], kept: &mut Vec<u128>) -> Result<(), StoreError> {
    let selects: Vec<String> = looks.iter().zip(0..).map(|(look, place)| look.select(place)).collect();
    // One of several segments is hardly ever used again.
    let mut query = sqlx::query(AssertSqlSafe(selects.join(" UNION ALL "))).persistent(looks.len() == 1);
    for look in looks {
        let ids: Vec<EventId> = look.ids.iter().copied().map(EventId::from_u128).collect();
        query = query.bind(serde_json::to_string(&ids).during(DOING)?).bind(id_bytes(look.greatest()));
    }
    let rows = query.fetch_all(&mut *state.connection.db).await.during(DOING)?;
    let mut gaps: Vec<Option<RangeInclusive<u128>>> = looks.iter().map(|_| Some(0..=u128::MAX)).collect();
    for row in &rows {
        let (place, which): (i64, i64) = (row.try_get(0).during(DOING)?, row.try_get(1).during(DOING)?);
        let Some(place) = usize::try_from(place).ok().filter(|place| *place < looks.len()) else { continue };
        let id: Option<Vec<u8>> = row.try_get(2).during(DOING)?;
        let Some(id) = id else { continue };
        let (gap, greatest) = (&mut gaps[place], looks[place].greatest());
        match (which, id_of(&id)) {
            (KEPT, id) => {
                let id = id.during(DOING)?;
                kept.push(id);
                if id == greatest {
                    *gap = gap.take().and_then(|gap| Some(id.checked_add(1)?..=*gap.end()));
                }
            }
            (BELOW, Ok(id)) => {
                *gap = gap.take().and_then(|gap| Some((*gap.start()).max(id.checked_add(1)?)..=*gap.end()));
            }
            (_, Ok(id)) => *gap = gap.take().and_then(|gap| Some(*gap.start()..=id.checked_sub(1)?)),
            // An id that is none has no place among the others.
            (_, Err(_)) => *gap = None,
        }
    }
    for (look, gap) in looks.iter().zip(gaps) {
        if let Some(gap) = gap.filter(|gap| !gap.is_empty()) {
            state.id_gaps.insert(look.segment, gap);
        }
    }
    Ok(())
}

const DOING: &str = "append";
/// The meaning of a row: an id that is there, or a neighbour.
const KEPT: i64 = 0;
const BELOW: i64 = 1;
const ABOVE: i64 = 2;
/// The largest number of segments in a statement: three selects each, of the 500 that SQLite takes.
const SEGMENTS_AT_ONCE: usize = 100;
