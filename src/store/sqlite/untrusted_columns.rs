//! SQL expressions for columns that bound or count events. Anybody who can write the file can put anything there: a text, or
//! bounds that contradict each other. They then bound and count nothing, so that they hide no event.

/// True if the columns are integers in this order.
macro_rules! is_span {
    ($first:literal, $last:literal) => {
        concat!("typeof(", $first, ") = 'integer' AND typeof(", $last, ") = 'integer' AND ", $first, " <= ", $last)
    };
}

/// The first of two times, within the years of a timestamp; the first of all times if the two are no span.
macro_rules! span_begin {
    ($first:literal, $last:literal) => {
        concat!(
            "CASE WHEN ",
            $crate::store::sqlite::untrusted_columns::is_span!($first, $last),
            " THEN max(min(",
            $first,
            ", 253402300799999999), -62135596800000000) ELSE -62135596800000000 END"
        )
    };
}

/// The last of two times, within the years of a timestamp; the last of all times if the two are no span.
macro_rules! span_end {
    ($first:literal, $last:literal) => {
        concat!(
            "CASE WHEN ",
            $crate::store::sqlite::untrusted_columns::is_span!($first, $last),
            " THEN max(min(",
            $last,
            ", 253402300799999999), -62135596800000000) ELSE 253402300799999999 END"
        )
    };
}

/// True if the id `?1` lies within the bounds `min_id` and `max_id`, or those are no bounds.
macro_rules! may_have_id {
    () => {
        "CASE WHEN typeof(min_id) = 'blob' AND typeof(max_id) = 'blob' AND min_id <= max_id \
         THEN ?1 BETWEEN min_id AND max_id ELSE 1 END"
    };
}

pub(super) use {is_span, may_have_id, span_begin, span_end};

#[cfg(test)]
mod tests {
    use crate::event::Timestamp;

    #[test]
    fn the_bounds_are_those_of_a_timestamp() {
        for sql in [span_begin!("a", "b"), span_end!("a", "b")] {
            assert!(
                sql.contains(&format!("{}), {})", Timestamp::MAX.as_micros(), Timestamp::MIN.as_micros())),
                "{sql}"
            );
        }
        assert!(span_begin!("a", "b").contains(&format!("ELSE {} ", Timestamp::MIN.as_micros())));
        assert!(span_end!("a", "b").contains(&format!("ELSE {} ", Timestamp::MAX.as_micros())));
    }
}
