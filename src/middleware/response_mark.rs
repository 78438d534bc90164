//! The mark on a response that says who has told it.

use http::Extensions;
use smallvec::SmallVec;

use crate::capture::AuditContext;
use crate::writer::LogId;

/// The marks on a response, for the layers further out: of each log the one of the outermost layer that it has passed.
///
/// A mark names a request, and means nothing to the layers of another: a response that is passed on carries it along.
#[derive(Clone, Default)]
struct ResponseMarks(SmallVec<[ResponseMark; 1]>);

#[derive(Clone, Copy)]
struct ResponseMark {
    log: LogId,
    request: u64,
    attempt: usize,
}

/// Says that this attempt has told the response, or has nothing to tell of it.
pub(super) fn put(extensions: &mut Extensions, log: LogId, context: &AuditContext) {
    let mark = ResponseMark { log, request: context.request(), attempt: context.attempt() };
    let marks = &mut extensions.get_or_insert_default::<ResponseMarks>().0;
    match marks.iter_mut().find(|other| other.log == log) {
        Some(other) => *other = mark,
        None => marks.push(mark),
    }
}

/// The attempt at this request that has told the response.
pub(super) fn read(extensions: &Extensions, log: LogId, context: &AuditContext) -> Option<usize> {
    let marks = &extensions.get::<ResponseMarks>()?.0;
    marks.iter().find(|mark| mark.log == log && mark.request == context.request()).map(|mark| mark.attempt)
}
