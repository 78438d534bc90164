//! Checks the order of the system calls.

use std::path::Path;

use super::trace::Call;

/// Returns true for the path of a file that events are written to.
pub(super) type IsLogFn<'a> = &'a dyn Fn(&str) -> bool;

/// A request, in the order in which they were sent, each after the response to the one before.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) id: String,
    /// True if it has a `started` event, then an effect, then its `completed` event.
    pub(super) is_written_ahead: bool,
}

/// Returns the number of syncs in the right places, or the first call that was out of order.
pub(super) fn check(
    calls: &[Call],
    is_log: IsLogFn<'_>,
    effects: &Path,
    expected: &[Expected],
) -> Result<usize, String> {
    let effects = effects.display().to_string();
    let responses: Vec<&Call> = calls.iter().filter(|call| is_response(call)).collect();
    if responses.len() != expected.len() {
        return Err(format!("{} responses to {} requests", responses.len(), expected.len()));
    }
    let mut syncs = 0;
    let mut after = 0;
    for (request, response) in expected.iter().zip(responses) {
        let place = Place { calls, is_log, effects: &effects, after, before: response.entered };
        syncs += place.check(request).map_err(|why| {
            format!("request {} (lines {} to {} of the trace): {why}", request.id, after + 1, response.entered + 1)
        })?;
        after = response.entered;
    }
    Ok(syncs)
}

/// The calls between two responses.
struct Place<'a> {
    calls: &'a [Call],
    is_log: IsLogFn<'a>,
    effects: &'a str,
    after: usize,
    before: usize,
}

impl Place<'_> {
    fn check(&self, request: &Expected) -> Result<usize, String> {
        let rounds = self.rounds(&request.id)?;
        let wanted = if request.is_written_ahead { 2 } else { 1 };
        if rounds.len() < wanted {
            return Err(format!("{} of {wanted} events were synced before the response left", rounds.len()));
        }
        if request.is_written_ahead {
            let effect = self
                .entered_here()
                .find(|call| call.target() == self.effects && call.arguments.contains(&request.id))
                .ok_or("the handler took no effect before the response left")?;
            if effect.entered < rounds[0] {
                return Err("the handler took effect before its started event was synced".to_owned());
            }
        }
        Ok(rounds.len())
    }

    /// The ends of the syncs that made the writes of the request durable.
    fn rounds(&self, id: &str) -> Result<Vec<usize>, String> {
        let writes: Vec<&Call> = self
            .entered_here()
            .filter(|call| call.name.contains("write") && (self.is_log)(call.target()) && call.arguments.contains(id))
            .collect();
        let mut rounds: Vec<usize> = Vec::new();
        for write in writes {
            let written = write.succeeded().ok_or("a write of its event failed")?;
            // A sync covers what was written before it began.
            let sync = self
                .entered_here()
                .filter(|call| matches!(call.name.as_str(), "fsync" | "fdatasync") && call.target() == write.target())
                .filter(|call| call.entered > written)
                .find_map(|call| call.succeeded().filter(|done| *done < self.before))
                .ok_or("what was written of its event was not synced before the response left")?;
            if rounds.last() != Some(&sync) {
                rounds.push(sync);
            }
        }
        Ok(rounds)
    }

    fn entered_here(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| (self.after..self.before).contains(&call.entered))
    }
}

pub(super) fn is_response(call: &Call) -> bool {
    matches!(call.name.as_str(), "write" | "writev" | "sendto" | "sendmsg")
        && call.target().starts_with("TCP")
        && call.arguments.contains("\"HTTP/1.1 ")
}

#[cfg(test)]
mod tests {
    use super::super::trace::parse;
    use super::*;

    const WRITE: &str = "1 pwrite64(5</d/a.db-wal>, \"..{r-1}..\", 4096, 32) = 4096";
    const SYNC: &str = "1 fsync(5</d/a.db-wal>) = 0";
    const EFFECT: &str = "2 write(9</d/effects>, \"r-1\\n\", 4) = 4";
    const RESPONSE: &str =
        "2 writev(7<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base=\"HTTP/1.1 200 OK\\r\\n\", iov_len=17}], 1) = 17";

    fn of(lines: &[&str], is_written_ahead: bool) -> Result<usize, String> {
        let expected = [Expected { id: "r-1".to_owned(), is_written_ahead }];
        let is_log = |path: &str| path == "/d/a.db-wal";
        check(&parse(&lines.join("\n")), &is_log, Path::new("/d/effects"), &expected)
    }

    #[track_caller]
    fn is_out_of_order(lines: &[&str], is_written_ahead: bool, why: &str) {
        let error = of(lines, is_written_ahead).expect_err("this is out of order");
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn the_right_order() {
        assert_eq!(of(&[EFFECT, WRITE, SYNC, RESPONSE], false), Ok(1));
        assert_eq!(of(&[WRITE, SYNC, EFFECT, WRITE, SYNC, RESPONSE], true), Ok(2));
        // Two pages of one event.
        assert_eq!(of(&[WRITE, WRITE, SYNC, RESPONSE], false), Ok(1));
    }

    #[test]
    fn a_response_that_leaves_first() {
        is_out_of_order(&[RESPONSE, WRITE, SYNC], false, "0 of 1 events");
        is_out_of_order(&[WRITE, RESPONSE, SYNC], false, "was not synced");
        is_out_of_order(&[WRITE, SYNC, EFFECT, RESPONSE, WRITE, SYNC], true, "1 of 2 events");
        is_out_of_order(&[WRITE, SYNC, EFFECT, WRITE, RESPONSE, SYNC], true, "was not synced");
    }

    #[test]
    fn a_response_while_the_sync_goes_on() {
        let begins = "1 fsync(5</d/a.db-wal> <unfinished ...>";
        let ends = "1 <... fsync resumed>) = 0";
        is_out_of_order(&[WRITE, begins, RESPONSE, ends], false, "was not synced");
        assert_eq!(of(&[WRITE, begins, ends, RESPONSE], false), Ok(1));
    }

    #[test]
    fn a_sync_of_something_else() {
        is_out_of_order(&[WRITE, "1 fsync(6</d/a.db>) = 0", RESPONSE], false, "was not synced");
        is_out_of_order(&[WRITE, "1 fsync(5</d/a.db-wal>) = -1 EIO (Input/output error)", RESPONSE], false, "was not");
        is_out_of_order(&[SYNC, WRITE, RESPONSE], false, "was not synced");
        let begins = "1 pwrite64(5</d/a.db-wal>, \"..{r-1}..\", 4096, 32 <unfinished ...>";
        let ends = "1 <... pwrite64 resumed>) = 4096";
        is_out_of_order(&[begins, "3 fsync(5</d/a.db-wal>) = 0", ends, RESPONSE], false, "was not synced");
        let other = WRITE.replace("r-1", "r-2");
        is_out_of_order(&[&other, SYNC, RESPONSE], false, "0 of 1 events");
    }

    #[test]
    fn an_effect_before_its_record() {
        is_out_of_order(&[EFFECT, WRITE, SYNC, WRITE, SYNC, RESPONSE], true, "took effect before");
        is_out_of_order(&[WRITE, EFFECT, SYNC, WRITE, SYNC, RESPONSE], true, "took effect before");
        is_out_of_order(&[WRITE, SYNC, WRITE, SYNC, RESPONSE, EFFECT], true, "no effect");
    }

    #[test]
    fn a_response_too_many_or_too_few() {
        is_out_of_order(&[WRITE, SYNC], false, "0 responses");
        is_out_of_order(&[WRITE, SYNC, RESPONSE, RESPONSE], false, "2 responses");
    }
}
