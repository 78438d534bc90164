//! One sequence of bytes for each JSON value.

use serde_json::{Map, Number, Value};

/// Appends the canonical form of a value: RFC 8785, with integers digit for digit.
///
/// RFC 8785 writes every number as the `f64` that is nearest, so 9007199254740993 and 9007199254740992 would be equal. Here
/// integers that fit 64 bits keep their digits. Equal values give equal bytes: `1.0` and `1`, members in any order.
///
/// ```
/// let value: serde_json::Value = serde_json::from_str(r#"{"b": 1.0, "a": 9007199254740993}"#)?;
/// let mut text = Vec::new();
/// tower_audit::seal::write_canonical_json(&value, &mut text);
/// assert_eq!(text, br#"{"a":9007199254740993,"b":1}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn write_canonical_json(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                write_canonical_json(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => write_object(members, out),
    }
}

/// Appends the canonical form of an object.
pub(super) fn write_object(members: &Map<String, Value>, out: &mut Vec<u8>) {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    // RFC 8785 section 3.2.3: by UTF-16 code units. U+10000 comes before U+FFFF so, and after it by bytes.
    sorted.sort_unstable_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
    out.push(b'{');
    for (number, (name, value)) in sorted.into_iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_canonical_json(value, out);
    }
    out.push(b'}');
}

/// Appends a string (RFC 8785 section 3.2.2.2): only what must be escaped is.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    // Without an early end, so that the compiler looks at many bytes at once.
    let is_plain = rest.iter().fold(true, |is_plain, byte| is_plain & !must_be_escaped(*byte));
    if is_plain {
        out.extend_from_slice(rest);
        out.push(b'"');
        return;
    }
    while let Some(at) = rest.iter().position(|byte| must_be_escaped(*byte)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte if byte < b' ' => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => out.extend_from_slice(&[b'\\', byte]),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn must_be_escaped(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

fn write_number(number: &Number, out: &mut Vec<u8>) {
    if let Some(integer) = number.as_u64() {
        write_integer(integer, out);
    } else if let Some(integer) = number.as_i64() {
        out.extend_from_slice(integer.to_string().as_bytes());
    } else if let Some(float) = number.as_f64() {
        out.extend_from_slice(float_text(float).as_bytes());
    }
}

/// Appends the decimal digits of an integer.
pub(super) fn write_integer(mut integer: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (integer % 10) as u8;
        integer /= 10;
        if integer == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// `Number::toString` of ECMAScript: the shortest digits that read back as the same number.
fn float_text(float: f64) -> String {
    if float == 0.0 {
        return "0".to_owned();
    }
    // serde_json finds the digits, in a notation of its own. Rust's `{:e}` rounds up where two are equally near, and ECMAScript
    // takes the even one.
    let text = Number::from_f64(float.abs()).map(|number| number.to_string()).unwrap_or_default();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    let digits = all.trim_start_matches('0');
    let leading_zeros = (all.len() - digits.len()) as i32;
    let digits = digits.trim_end_matches('0');
    let count = digits.len() as i32;
    // The number is 0.DIGITS × 10^point.
    let point = exponent.parse::<i32>().unwrap_or_default() + whole.len() as i32 - leading_zeros;
    let sign = if float < 0.0 { "-" } else { "" };
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    if (count..=21).contains(&point) {
        format!("{sign}{digits}{}", zeros(point - count))
    } else if (1..=21).contains(&point) {
        let (whole, fraction) = digits.split_at(point as usize);
        format!("{sign}{whole}.{fraction}")
    } else if (-5..=0).contains(&point) {
        format!("{sign}0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = digits.split_at(1);
        let fraction = if rest.is_empty() { String::new() } else { format!(".{rest}") };
        format!("{sign}{first}{fraction}e{:+}", point - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn canonical(value: &Value) -> String {
        let mut text = Vec::new();
        write_canonical_json(value, &mut text);
        String::from_utf8(text).unwrap()
    }

    /// The doubles and texts of RFC 8785, appendix B. It is null for NaN and the infinities, which JSON does not have.
    #[test]
    fn numbers_are_those_of_rfc_8785() {
        for (bits, text) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(float_text(f64::from_bits(bits)), text);
        }
    }

    /// The example of RFC 8785 section 3.2.3, without the tag.
    #[test]
    fn members_are_sorted_by_utf_16() {
        let value = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh", "1": "One",
            "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
        });
        let order = ["Carriage Return", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
        let text = canonical(&value);
        let places: Vec<_> = order.iter().map(|name| text.find(name).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
        assert!(text.starts_with(r#"{"\r":"Carriage Return","1":"One","#), "{text}");
    }

    #[test]
    fn integers_keep_their_digits() {
        let text = |json: &str| canonical(&serde_json::from_str(json).unwrap());
        assert_eq!(text("9007199254740993"), "9007199254740993");
        assert_eq!(text("-9223372036854775808"), "-9223372036854775808");
        assert_eq!(text("18446744073709551615"), "18446744073709551615");
        // PostgreSQL's `jsonb` gives the digits of a number without its exponent: the same number either way.
        for (written, stored) in [
            ("1e19", "10000000000000000000"),
            ("1.2345678901234567e19", "12345678901234567000"),
            ("1.0", "1.0"),
            ("-0.0", "0.0"),
            ("1e21", "1000000000000000000000"),
            ("5e-7", "0.0000005"),
        ] {
            assert_eq!(text(written), text(stored));
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,8}|[\\x00-\\x1f\"\\\\]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,4}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_json_of_the_same_value(value in any_json()) {
            let text = canonical(&value);
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(canonical(&read), text);
        }

        #[test]
        fn different_values_have_different_forms(one in any_json(), other in any_json()) {
            let equal = |a: &Value, b: &Value| serde_json::to_value(a).unwrap() == serde_json::to_value(b).unwrap();
            if canonical(&one) == canonical(&other) {
                let read = |value: &Value| serde_json::from_str::<Value>(&canonical(value)).unwrap();
                prop_assert!(equal(&read(&one), &read(&other)));
            }
        }
    }
}
