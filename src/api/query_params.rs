//! The parameters of a query string.

use super::Caller;
use super::cursor_token::{CursorBinding, CursorToken};
use super::error::ApiError;
use super::form_urlencoded::{decode, encode_into};
use super::operation::Operation;
use super::parameter_schema::{
    DEFAULT_BUCKETS, DEFAULT_BY, DEFAULT_LIMIT, DEFAULT_TOP, DETAIL, FORMATS, MAX_LIMIT, MAX_TOP, Parameter,
};
use crate::event::excerpt;
use crate::event::{AuditEvent, Timestamp};
use crate::export::Profile;
use crate::query::{Buckets, Cursor, Field, Filter};

/// The parameters of a request, validated.
#[derive(Debug)]
pub(crate) struct Params {
    pub(crate) filter: Filter,
    /// The filters as given, in the order of their table.
    pub(crate) raw_filters: Vec<(&'static str, String)>,
    limit: Option<usize>,
    pub(crate) skip: u64,
    /// The place after which the page begins.
    pub(crate) after: Option<Cursor>,
    /// The place before which the page ends: a page of newer events.
    #[cfg_attr(not(feature = "viewer"), allow(dead_code, reason = "the API has no such parameter"))]
    pub(crate) newer: Option<Cursor>,
    /// One of [`FORMATS`].
    pub(crate) format: &'static str,
    /// The shape of each event of an export.
    pub(crate) profile: Option<Profile>,
    /// The fields to count by, each once.
    pub(crate) by: Vec<Field>,
    /// The largest number of values of each field.
    pub(crate) top: usize,
    /// The largest number of buckets.
    pub(crate) buckets: usize,
    /// The time of the request.
    pub(crate) now: Timestamp,
}

impl Params {
    /// Parses a query string by the parameters of the operation. A parameter that is unknown, repeated or not valid is an
    /// error: ignoring it would show more events than asked for. So is a cursor of other filters.
    pub(crate) fn from_query(
        query: Option<&str>,
        operation: &Operation,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        Self::parse(query, operation, caller, now).map_err(ApiError::BadRequest)
    }

    fn parse(query: Option<&str>, operation: &Operation, caller: &Caller, now: Timestamp) -> Result<Self, String> {
        let mut params = Self {
            filter: Filter::default(),
            raw_filters: Vec::new(),
            limit: None,
            skip: 0,
            after: None,
            newer: None,
            format: FORMATS[0],
            profile: None,
            by: Vec::new(),
            top: DEFAULT_TOP,
            buckets: DEFAULT_BUCKETS,
            now,
        };
        let pairs = pairs(query, operation)?;
        let (mut cursor, mut newer) = (None, None);
        // In the order of the table, so that a cursor is valid for any order of the parameters.
        for parameter in operation.parameters() {
            for (_, value) in pairs.iter().filter(|(known, _)| known.name == parameter.name) {
                match parameter.name {
                    "cursor" => cursor = Some(value),
                    "newer" => newer = Some(value),
                    _ => params.set(parameter, value, now)?,
                }
            }
        }
        if params.by.is_empty() {
            params.by.extend(DEFAULT_BY);
        }
        params.filter.check_times().map_err(|error| error.to_string())?;
        if cursor.is_some() && newer.is_some() {
            return Err("newer: cannot be combined with cursor".into());
        }
        if let Some(cursor) = cursor.or(newer) {
            if params.skip > 0 {
                return Err("skip: cannot be combined with cursor".into());
            }
            let place = CursorToken::from_text(cursor, params.binding(caller))?;
            // The time range is the one of the first page.
            (params.filter.since, params.filter.until) = (place.since, place.until);
            *(if newer.is_some() { &mut params.newer } else { &mut params.after }) = Some(place.after);
        }
        Ok(params)
    }

    fn set(&mut self, parameter: &Parameter, value: &str, now: Timestamp) -> Result<(), String> {
        let name = parameter.name;
        match name {
            "limit" => {
                self.limit = Some(parse_capped(name, value, MAX_LIMIT)?);
            }
            "top" => self.top = parse_capped(name, value, MAX_TOP)?,
            "buckets" => self.buckets = parse_capped(name, value, Buckets::MAX_COUNT)?,
            "by" => {
                let field = value.parse().map_err(|error| format!("{name}: {error}"))?;
                if self.by.contains(&field) {
                    return Err(format!("{name}: {field} is given twice: expected each field once"));
                }
                self.by.push(field);
            }
            "skip" => self.skip = parse_whole_number(name, value)?,
            "format" => {
                let known = FORMATS.into_iter().find(|known| *known == value);
                self.format = known.ok_or_else(|| {
                    format!("format: {:?} is unknown: expected one of {}", excerpt(value), FORMATS.join(", "))
                })?;
            }
            "profile" => {
                self.profile = Some(value.parse().map_err(|error| format!("{name}: {error}"))?);
            }
            // `outcome=401,403` is the same as `outcome=401&outcome=403`, also for a cursor.
            "outcome" => {
                for value in value.split(',').map(str::trim) {
                    self.set_filter(name, value, now)?;
                }
            }
            _ => self.set_filter(name, value, now)?,
        }
        Ok(())
    }

    fn set_filter(&mut self, name: &'static str, value: &str, now: Timestamp) -> Result<(), String> {
        self.filter.set(name, value, now).map_err(|error| match name {
            // The `+` of a time zone, not encoded, is decoded as a blank.
            "since" | "until" if value.contains(' ') => {
                format!("{error} (a + in a query string is a blank: write %2B)")
            }
            _ => error.to_string(),
        })?;
        self.raw_filters.push((name, value.to_owned()));
        Ok(())
    }

    /// Returns the time range to count over: `since` defaults to 30 days before the end, `until` to now.
    pub(crate) fn span(&self) -> Result<(Timestamp, Timestamp), ApiError> {
        let until = self.filter.until.unwrap_or(self.now);
        let since = self.filter.since.unwrap_or_else(|| self.default_since(until));
        if since < until {
            return Ok((since, until));
        }
        Err(ApiError::BadRequest(match self.filter.since {
            Some(_) => format!("since: {since} is not before now: expected an earlier time, or an until after it"),
            None => format!("until: nothing is before {until}: expected a later time"),
        }))
    }

    /// Returns the default for `since`: 30 days before `until`.
    pub(crate) fn default_since(&self, until: Timestamp) -> Timestamp {
        Timestamp::from_micros_clamped(until.as_micros() - DEFAULT_SPAN_MICROS)
    }

    /// Folds the events, unless the query says otherwise.
    #[cfg(feature = "viewer")]
    pub(crate) fn folded_by_default(mut self) -> Self {
        self.filter.folded |= !self.raw_filters.iter().any(|(name, _)| *name == "folded");
        self
    }

    /// Returns the page size.
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// Returns the page size if it was given.
    #[cfg(feature = "viewer")]
    pub(crate) fn explicit_limit(&self) -> Option<usize> {
        self.limit
    }

    /// Returns the cursor of the page after this event.
    pub(crate) fn cursor_after(&self, last: &AuditEvent, caller: &Caller) -> String {
        self.cursor_at(Cursor::of(last), caller)
    }

    /// Returns the cursor of this place.
    pub(crate) fn cursor_at(&self, after: Cursor, caller: &Caller) -> String {
        CursorToken { since: self.filter.since, until: self.filter.until, after }.to_text(self.binding(caller))
    }

    fn binding<'a>(&'a self, caller: &'a Caller) -> CursorBinding<'a> {
        CursorBinding { caller, given: &self.raw_filters }
    }

    /// Returns the query string of the page at `cursor`.
    pub(crate) fn query_at(&self, cursor: &str) -> String {
        let mut query = String::new();
        for (name, value) in &self.raw_filters {
            query.push_str(name);
            query.push('=');
            encode_into(&mut query, value);
            query.push('&');
        }
        // A cursor has no character that would need to be encoded.
        query + &format!("limit={}&cursor={cursor}", self.limit())
    }
}

/// Decodes a query string into pairs of parameter and value.
fn pairs(query: Option<&str>, operation: &Operation) -> Result<Vec<(&'static Parameter, String)>, String> {
    let mut pairs: Vec<(&'static Parameter, String)> = Vec::new();
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(pairs) };
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).map_err(|why| format!("the name of a parameter {why}"))?;
        // `detail.plan=gold` is `detail=plan=gold`.
        let (name, key) = match name.strip_prefix(DETAIL).and_then(|rest| rest.strip_prefix('.')) {
            Some(key) => (DETAIL.into(), Some(key.to_owned())),
            None => (name, None),
        };
        let Some(parameter) = operation.parameters().find(|known| known.name == name) else {
            let known: Vec<_> = operation.parameters().map(|known| known.name).collect();
            return Err(match known.as_slice() {
                [] => format!("{:?} is no parameter: expected none", excerpt(&name)),
                _ => format!("{:?} is not a parameter: expected one of {}", excerpt(&name), known.join(", ")),
            });
        };
        let name = parameter.name;
        if !parameter.may_repeat && pairs.iter().any(|(earlier, _)| earlier.name == name) {
            return Err(format!("{name}: given twice, expected one value"));
        }
        let raw = value;
        let value = decode(raw).map_err(|why| format!("{name}: its value {why}"))?;
        if value.is_empty() {
            return Err(format!("{name}: empty, expected a value"));
        }
        if !parameter.fits(&value) {
            return Err(format!("{name}: its value has more than {} bytes", parameter.max_bytes));
        }
        if name == "user_email" && raw.contains('+') && value.contains('@') {
            return Err(format!(
                "{name}: a + in a query string is a blank, which no e-mail address has: write %2B for a plus sign, %20 for a \
                 blank"
            ));
        }
        pairs.push((parameter, key.map_or_else(|| value.to_string(), |key| format!("{key}={value}"))));
    }
    Ok(pairs)
}

/// Parses a whole number from 1; one above `most` is reduced to `most`.
fn parse_capped(name: &str, value: &str, most: usize) -> Result<usize, String> {
    match parse_whole_number(name, value)? {
        0 => Err(format!("{name}: expected 1 or more")),
        number => Ok(usize::try_from(number).unwrap_or(most).min(most)),
    }
}

/// The default time range of statistics: 30 days.
const DEFAULT_SPAN_MICROS: i64 = 30 * 86_400 * 1_000_000;

/// Parses digits. A number that does not fit is `u64::MAX`: there are fewer events.
fn parse_whole_number(name: &str, value: &str) -> Result<u64, String> {
    if !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{name}: {:?} is no number: expected a whole number, 0 or more", excerpt(value)));
    }
    Ok(value.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventType, Phase};
    use crate::query::{Condition, OutcomePattern, TextPattern};

    fn now() -> Timestamp {
        "2026-05-25T12:00:00Z".parse().unwrap()
    }

    fn read_at(query: &str, now: Timestamp) -> Result<Params, String> {
        Params::parse(Some(query), &Operation::LIST, &Caller::user("alice"), now)
    }

    fn read(query: &str) -> Result<Params, String> {
        read_at(query, now())
    }

    #[test]
    fn what_is_asked_is_understood_in_any_order() {
        let one = read("limit=7&route=%2Fa+b&event_type=upload").unwrap();
        let other = read("event%5Ftype=upload&route=/a%20b&limit=7").unwrap();
        assert_eq!(one.raw_filters, [("event_type", "upload".to_owned()), ("route", "/a b".to_owned())]);
        assert_eq!((one.filter, one.raw_filters, one.limit), (other.filter, other.raw_filters, other.limit));
    }

    #[test]
    fn what_makes_no_sense_names_its_parameter() {
        for (query, why) in [
            ("limit=0", "limit: expected 1 or more"),
            ("limit=-1", "limit: \"-1\" is no number"),
            ("limit=%2B5", "limit: \"+5\" is no number"),
            ("skip=x", "skip: \"x\" is no number"),
            ("outcome=401,,403", "outcome: \"\" is no HTTP status"),
            ("outcome=401,x", "outcome: \"x\" is no HTTP status"),
            ("outcome=%2B200", "outcome: \"+200\" is no HTTP status"),
            ("outcome=%2B20", "outcome: \"+20\" is no HTTP status"),
            ("outcome=20", "outcome: \"20\" is no HTTP status"),
            ("phase=ended", "phase: "),
            ("event_type=Upload", "event_type: "),
            ("since=yesterday", "since: "),
            ("user_email=alice+test@example.org", "user_email: a + in a query string is a blank"),
            ("remote_addr=127.0.0.01", "remote_addr: \"127.0.0.01\" is no address: expected one such as"),
            ("remote_addr=!192.0.2.0/24", "remote_addr: \"192.0.2.0/24\" is no address"),
            ("remote_addr=1::2::3", "remote_addr: \"1::2::3\" is no address"),
            ("since=1d&until=2d", "until: "),
            ("user_email=", "user_email: empty"),
            ("user_email", "user_email: empty"),
            ("user_email=!!a", "user_email: \"!a\" negates twice"),
            ("user_email=a%5Cb", "user_email: \"a\\\\b\" has a backslash"),
            ("outcome=4XX", "outcome: \"4XX\" is no HTTP status"),
            ("outcome=099", "outcome: \"099\" is no HTTP status"),
            ("event_type=Up*", "event_type: \"Up*\" matches no event type"),
            ("phase=*", "phase: "),
            ("since=1d&since=2d", "since: given twice"),
            ("limit=1&%6Cimit=1", "limit: given twice"),
            ("User_Email=a", "\"User_Email\" is not a parameter"),
            ("format=csv", "\"format\" is not a parameter: expected one of event_type, "),
            ("&", "\"\" is not a parameter"),
            ("limit=1&", "\"\" is not a parameter"),
            ("limit=1;skip=2", "limit: \"1;skip=2\" is no number"),
            ("route=%ff", "route: its value is not UTF-8"),
            ("route=%c0%80", "route: its value is not UTF-8"),
            ("route=%00", "route: its value has U+0000"),
            ("route=%0", "route: its value has a %"),
            ("route=%zz", "route: its value has a %"),
            ("%ff=1", "the name of a parameter is not UTF-8"),
            ("cursor=x&skip=1", "skip: cannot be combined with cursor"),
        ] {
            let error = read(query).expect_err(query);
            assert!(error.starts_with(why), "{query}: {error}");
        }
        let plus = read("since=2026-05-25T12:00:00+02:00").unwrap_err();
        assert!(plus.starts_with("since: ") && plus.ends_with("write %2B)"), "{plus}");
        let long = read(&format!("user_email={}", "é".repeat(520))).unwrap_err();
        assert_eq!(long, "user_email: its value has more than 1024 bytes");
        let many = read(&["user_email=a"; 21].join("&")).unwrap_err();
        assert_eq!(many, "user_email: it has more than 20 values");
    }

    #[test]
    fn a_filter_takes_several_values_patterns_and_negations() {
        let params = read("user_email=a*&outcome=4xx&user_email=!ab&outcome=none&phase=!started").unwrap();
        let mut expected = Filter { user_email: Condition::any_of([TextPattern::prefix("a")]), ..Filter::default() };
        expected.set("user_email", "!ab", now()).unwrap();
        expected.outcome = Condition::any_of([OutcomePattern::Class(4), OutcomePattern::Missing]);
        expected.phase = Condition::none_of([Phase::Started]);
        assert_eq!(params.filter, expected);
        let given = params.raw_filters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        assert_eq!(given, ["user_email=a*", "user_email=!ab", "outcome=4xx", "outcome=none", "phase=!started"]);
    }

    #[test]
    fn a_detail_is_asked_for_in_two_ways() {
        let asked = read("detail.plan=gold&detail.a%3Db=!c&detail=n%3D7&folded=true&target=order%2F7").unwrap();
        let given = asked.raw_filters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        assert_eq!(given, ["target=order/7", "detail=plan=gold", "detail=a=b=!c", "detail=n=7", "folded=true"]);
        let expected =
            Filter::new().folded(true).target("order/7").detail("plan", "gold").detail("n", "7").detail("a", "b=!c");
        assert_eq!(asked.filter, expected);
        assert_eq!(read(&asked.query_at("AAAA").replace("&limit=100&cursor=AAAA", "")).unwrap().filter, expected);
        for (query, why) in [
            ("detail=gold", "detail: \"gold\" has no =: expected KEY=VALUE"),
            ("detail.=gold", "detail: it has no key"),
            ("detail.plan=", "detail: empty"),
            ("detail.plan=g*", "detail: \"g*\" is a pattern"),
            ("target=order", "target: \"order\" is no target"),
            (
                "target=order/*",
                "target: \"order/*\" is a pattern: expected one target, or the filter target_type=order",
            ),
            ("target_type=Order", "target_type: "),
            ("request_id=a*", "request_id: \"a*\" is a pattern"),
            ("folded=1", "folded: \"1\" is neither true nor false"),
            ("folded=true&folded=true", "folded: given twice"),
        ] {
            let error = read(query).expect_err(query);
            assert!(error.starts_with(why), "{query}: {error}");
        }
    }

    #[test]
    fn several_statuses_may_stand_in_one_value() {
        let several = read("outcome=401,%204xx&outcome=!404").unwrap();
        let alone = read("outcome=401&outcome=4xx&outcome=!404").unwrap();
        assert_eq!((several.filter, several.raw_filters), (alone.filter, alone.raw_filters));
    }

    #[test]
    fn what_is_legal_with_a_blank_or_no_address_is_asked_for() {
        for (query, user) in [
            ("user_email=Alice+Smith", "Alice Smith"),
            ("user_email=a%2Bb@c", "a+b@c"),
            ("user_email=%22a%20b%22@c", "\"a b\"@c"),
        ] {
            assert_eq!(read(query).unwrap().filter.user_email, user.into(), "{query}");
        }
        for (addr, found) in [
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("127.0.0.1:4711", "127.0.0.1"),
            ("[2001:DB8::1]:80", "2001:db8::1"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(read(&format!("remote_addr={addr}")).unwrap().filter.remote_addr, found.into(), "{addr}");
        }
        assert_eq!(read("remote_addr=::FFFF:*").unwrap().filter.remote_addr, TextPattern::prefix("::FFFF:").into());
    }

    #[test]
    fn limits_are_capped() {
        for (query, limit) in [("", 100), ("limit=1", 1), ("limit=1000", 1000), ("limit=1001", 1000)] {
            assert_eq!(read(query).unwrap().limit(), limit, "{query}");
        }
        assert_eq!(read("limit=99999999999999999999").unwrap().limit(), MAX_LIMIT);
        assert_eq!(read("skip=99999999999999999999").unwrap().skip, u64::MAX);
    }

    #[test]
    fn what_follows_asks_the_same() {
        let params = read("route=/a%26b%3Dc+é%25%2B&limit=5&skip=3&user_email=a@b").unwrap();
        let last = AuditEvent::new(EventType::UPLOAD);
        let following = params.query_at(&params.cursor_after(&last, &Caller::user("alice")));
        assert!(following.is_ascii());
        let again = read(&following).unwrap();
        assert_eq!((again.raw_filters, again.filter, again.limit), (params.raw_filters, params.filter, Some(5)));
        assert_eq!((again.after, again.skip), (Some(Cursor::of(&last)), 0));
    }

    #[test]
    fn the_span_of_a_listing_is_that_of_its_first_page() {
        // "An hour ago" moves between two pages; what was in the span must not fall out of it.
        let params = read("since=1h&until=1m").unwrap();
        let last = AuditEvent::new(EventType::UPLOAD);
        let following = params.query_at(&params.cursor_after(&last, &Caller::user("alice")));
        let later = Timestamp::from_micros(now().as_micros() + 86_400_000_000).unwrap();
        assert_eq!(read_at(&following, later).unwrap().filter, params.filter);
        assert_ne!(read_at("since=1h&until=1m", later).unwrap().filter, params.filter);
    }
}
