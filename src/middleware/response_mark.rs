//! The mark of the attempt that has recorded a response.

use http::Extensions;
use smallvec::SmallVec;

use crate::capture::AuditContext;
use crate::writer::LogId;

/// The marks on a response, for the layers further out: for each log, that of the outermost layer it has passed.
///
/// A mark names its request, so that the layers of another request ignore it: a handler may pass a response on.
#[derive(Clone, Default)]
struct ResponseMarks(SmallVec<[ResponseMark; 1]>);

#[derive(Clone, Copy)]
struct ResponseMark {
    log: LogId,
    request: u64,
    attempt: usize,
}

/// Marks the response as settled by this attempt: recorded, refused, or left out.
pub(super) fn put(extensions: &mut Extensions, log: LogId, context: &AuditContext) {
    let mark = ResponseMark { log, request: context.request(), attempt: context.attempt() };
    let marks = &mut extensions.get_or_insert_default::<ResponseMarks>().0;
    match marks.iter_mut().find(|other| other.log == log) {
        Some(other) => *other = mark,
        None => marks.push(mark),
    }
}

/// The attempt at this request whose mark the response carries.
pub(super) fn read(extensions: &Extensions, log: LogId, context: &AuditContext) -> Option<usize> {
    let marks = &extensions.get::<ResponseMarks>()?.0;
    marks.iter().find(|mark| mark.log == log && mark.request == context.request()).map(|mark| mark.attempt)
}
