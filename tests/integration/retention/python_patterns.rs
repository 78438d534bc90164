//! Patterns match as Python's `re.match` does, asked of Python itself.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tower_audit::retention::PythonPattern;

const TEXTS: &[&str] = &[
    "",
    "a",
    "ab",
    "abc",
    "aab",
    "b",
    "A",
    "AB",
    "nils",
    "nils2",
    "None",
    "GET /token",
    "GET /token/",
    "POST /validate/check",
    "POST /validate/checkx",
    "x POST /validate/check",
    "DELETE /token/OATH0001",
    "{a}",
    "a{,2}",
    "a{2",
    "[a]",
    "]",
    "-",
    "a-b",
    "a.b",
    "a b",
    "a\tb",
    "a\u{1c}b",
    "\u{a0}",
    "\u{2003}x",
    "0123456789",
    "٣",
    "²",
    "Ⅷ",
    "é",
    "e\u{301}",
    "ß",
    "ſ",
    "K",
    "Ä",
    "ä",
    "日本",
    "_x",
    "\u{7}",
    "\u{8}",
    "a\\b",
    "#",
    "a#b",
    "aaaaaaaa!",
];

/// Patterns by hand: each construct, and what looks like one.
const PATTERNS: &[&str] = &[
    "",
    "a",
    "^a",
    "a$",
    "^$",
    "$",
    ".*",
    ".",
    ".*/validate/check.*",
    "^GET /token",
    "POST /validate/check$",
    "POST (/validate/check|/token)",
    "(GET|DELETE) /token",
    "a|b",
    "a|",
    "|a",
    "(a|b)*b",
    "(?:a)+b",
    "(?P<name>a)b",
    "(?P<näme>a)b",
    "a*",
    "a+",
    "a?b",
    "a*?b",
    "a+?b",
    "a??b",
    "a{2}b",
    "a{1,2}b",
    "a{,2}b",
    "a{,}b",
    "a{2,}",
    "a{",
    "a{,",
    "a{,2",
    "a{}",
    "a{2",
    "{a}",
    "{",
    "}",
    "]",
    "a]",
    "[a]",
    "[]a]",
    "[^]a]",
    "[^a]",
    "[a-c]",
    "[a-]",
    "[-a]",
    "[^-a]",
    "[a\\-c]",
    "[[a]",
    "[[:alpha:]]",
    "[a&&b]",
    "[a--b]",
    "[a~~b]",
    "[\\d]",
    "[\\w-]",
    "[^\\s]",
    "[\\b]",
    "[\\x41-\\x43]",
    "[\\101]",
    "[\\0]",
    "[.]",
    "[$]",
    "[^^]",
    "\\d",
    "\\d+$",
    "\\D",
    "\\s",
    "\\S",
    "\\w",
    "\\w+",
    "\\W",
    "a\\sb",
    "a\\Sb",
    "\\bnils\\b",
    "nils\\B",
    "\\Anils\\Z",
    "\\Z",
    "\\x41",
    "\\u0041",
    "\\U00000041",
    "\\101",
    "\\060",
    "\\0",
    "\\a",
    "\\t",
    "a\\tb",
    "a\\.b",
    "a\\\\b",
    "\\/",
    "\\-",
    "\\#",
    "\\ä",
    "(?i)ab",
    "(?i)NILS$",
    "(?i)ä",
    "(?i:a)b",
    "(?i)a(?-i:B)",
    "(?-i:a)",
    "(?s).",
    "(?m)^a$",
    "(?x) a b # comment\n c",
    "(?x) [a b] ",
    "(?x)a\\ b",
    "(?x:a b)c",
    "(?a)\\w+",
    "(?a)é",
    "(?a)\\d",
    "(?a:\\w)",
    "(?a)\\bnils\\b",
    "(?u)\\w",
    "(?is)A.",
    "(?i)(?s)A.",
    "a(?#comment)b",
    "(a+)+!",
    "(a|aa)+$",
    "((a*)*)*b",
    "(.*)*x",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    // Errors.
    "(",
    ")",
    "a)",
    "(a",
    "[",
    "[a",
    "[^]",
    "[]",
    "[c-a]",
    "[\\d-z]",
    "[a-\\d]",
    "*",
    "+a",
    "?",
    "a**",
    "a+*",
    "a{2}{3}",
    "^*",
    "$+",
    "\\b*",
    "(*a)",
    "a{3,2}",
    "{2}",
    "(|*)",
    "\\",
    "\\q",
    "\\x4",
    "\\u00",
    "\\U0011000",
    "\\400",
    "[\\8]",
    "[\\q]",
    "(?",
    "(?z)",
    "(?P",
    "(?P<",
    "(?P<>a)",
    "(?P<1a>a)",
    "(?P<a>a)(?P<a>b)",
    "(?P!a)",
    "(?<a)",
    "(?#a",
    "a(?i)b",
    "(?L)a",
    "(?au)a",
    "(?a)(?u)a",
    "(?-a:b)",
    "(?i-i:b)",
    "(?i-)",
    "(?-)",
    "(?i",
    "(?iz)",
];

/// Patterns that Python knows and that are not supported, each with the name of the construct.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("(?=a)", "lookahead"),
    ("(?!a)", "lookahead"),
    ("(?<=a)b", "lookbehind"),
    ("(?<!a)b", "lookbehind"),
    ("(a)\\1", "back-reference"),
    ("(?P<n>a)(?P=n)", "back-reference"),
    ("(a)?(?(1)b|c)", "condition"),
    ("(?>a)b", "atomic"),
    ("a*+b", "possessive"),
    ("a++b", "possessive"),
    ("a?+b", "possessive"),
    ("\\N{DIGIT ONE}", "name of a character"),
];

/// Asks Python.
fn python(questions: &[(String, Vec<String>)]) -> Vec<Option<Vec<bool>>> {
    let mut python = Command::new("python3")
        .args(["-c", include_str!("python_match.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs python3");
    let text = serde_json::to_string(questions).expect("JSON");
    python.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it is asked");
    let output = python.wait_with_output().expect("it answers");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn ours(pattern: &str, texts: &[String]) -> Result<Vec<bool>, String> {
    let pattern = PythonPattern::new(pattern).map_err(|error| error.to_string())?;
    Ok(texts.iter().map(|text| pattern.is_match(text)).collect())
}

/// Compares the answers, and returns the number of patterns that both take.
fn compare(questions: &[(String, Vec<String>)]) -> usize {
    let answers = python(questions);
    assert_eq!(answers.len(), questions.len());
    let mut taken = 0;
    let mut wrong = Vec::new();
    for ((pattern, texts), theirs) in questions.iter().zip(answers) {
        match (ours(pattern, texts), theirs) {
            (Ok(ours), Some(theirs)) => {
                taken += 1;
                let differing = texts.iter().zip(ours.iter().zip(&theirs)).filter(|(_, (ours, theirs))| ours != theirs);
                let differing = differing.filter(|(text, _)| !is_documented(pattern, text));
                wrong.extend(differing.map(|(text, (ours, _))| format!("{pattern:?} on {text:?}: ours says {ours}")));
            }
            (Ok(_), None) => wrong.push(format!("{pattern:?}: Python rejects it")),
            (Err(error), Some(_)) if !error.contains("not supported") => wrong.push(format!("{pattern:?}: {error}")),
            (Err(_), _) => {}
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    taken
}

/// Returns true for the differences that `docs/retention.md` names: the ends of words, where Unicode and Python differ about the
/// characters of a word.
fn is_documented(pattern: &str, text: &str) -> bool {
    (pattern.contains("\\b") || pattern.contains("\\B")) && ["", "\u{b2}", "e\u{301}"].contains(&text)
}

fn texts() -> Vec<String> {
    TEXTS.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn each_construct_matches_as_in_python() {
    let questions: Vec<_> = PATTERNS.iter().map(|pattern| ((*pattern).to_owned(), texts())).collect();
    let taken = compare(&questions);
    assert!(taken > 100, "{taken}");
}

#[test]
fn an_end_is_before_the_last_line_break_too() {
    let lines: Vec<String> =
        ["a", "a\n", "a\n\n", "a\nb", "\n", "b\na", "ab\n", ""].iter().map(|text| (*text).to_owned()).collect();
    let patterns =
        ["a$", "^a$", "(?m)a$", "(?m)^b$", "(a$|b)", "a\\Z", "$", "a.", "(?s)a.", "a\\s$", "[^x]*$", "(?m)$"];
    let questions: Vec<_> = patterns.iter().map(|pattern| ((*pattern).to_owned(), lines.clone())).collect();
    assert_eq!(compare(&questions), patterns.len());
}

/// Random text of the syntax's own characters: most of it is no pattern, and both say so.
#[test]
fn random_patterns_match_as_in_python() {
    let pieces = [
        "a", "b", "c", "A", ".", "*", "+", "?", "|", "(", ")", "(?:", "(?i:", "[", "]", "[^", "-", "{", "}", "{2}",
        "{,2}", "{1,}", ",", "1", "^", "$", "\\d", "\\w", "\\s", "\\b", "\\W", "\\x41", "\\.", "\\", "(?i)", "(?x)",
        "(?P<n>", " ", "#", "&&", "\\Z", "0", "ä",
    ];
    let mut random = fastrand::Rng::with_seed(20);
    let texts = texts();
    let questions: Vec<_> = (0..6000)
        .map(|_| {
            let pattern: String = (0..random.usize(1..9)).map(|_| pieces[random.usize(..pieces.len())]).collect();
            (pattern, texts.clone())
        })
        .collect();
    let taken = compare(&questions);
    assert!(taken > 1500, "{taken} of them are patterns");
}

#[test]
fn what_needs_backtracking_is_an_error_that_says_so() {
    for (pattern, construct) in UNSUPPORTED {
        let error = PythonPattern::new(pattern).expect_err(pattern).to_string();
        assert!(error.contains(construct) && error.contains("not supported"), "{pattern}: {error}");
    }
    let questions: Vec<_> = UNSUPPORTED.iter().map(|(pattern, _)| ((*pattern).to_owned(), Vec::new())).collect();
    assert!(python(&questions).iter().all(Option::is_some), "Python takes each of them");
}

/// Patterns over which a backtracking engine would take years, on a text of the greatest length that an event has.
#[test]
fn hostile_patterns_and_texts_take_no_time() {
    let long = "a".repeat(4096) + "!";
    let begun = Instant::now();
    for pattern in ["(a+)+$", "(a|aa)+$", "(a|a?)+$", "((a*)*)*b", "(.*)*x", "(.*.*.*.*.*.*)=", "^(([a-z])+.)+[A-Z]$"] {
        let pattern = PythonPattern::new(pattern).expect(pattern);
        assert!(!pattern.is_match(&long), "{pattern:?}");
    }
    for pattern in [
        "(((((a{100}){100}){100}){100}){100})",
        &"(".repeat(2000),
        &"(?:".repeat(1000),
        &format!("{}a{}", "(".repeat(1000), ")".repeat(1000)),
        "(?:){4000000000}a{4000000000}",
        &"a".repeat(5000),
        "\\w{4000}\\w{4000}",
    ] {
        let error = PythonPattern::new(pattern).expect_err("it is too large").to_string();
        assert!(error.len() < 300, "{error}");
    }
    // In a build that is not optimised.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
