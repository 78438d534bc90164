//! Summaries begin with a verb or a noun (RFC 1574), not with a question word.

use super::source_files;

const QUESTIONS: &[&str] = &[
    "what",
    "whatever",
    "whether",
    "who",
    "whoever",
    "whom",
    "whose",
    "how",
    "however",
    "which",
    "whichever",
    "where",
    "wherever",
    "when",
    "whenever",
    "why",
];
/// Of a hundred summaries, how many may: a few are the best that can be said.
const PERCENT: usize = 3;

/// The first lines of doc comments: file, line, text.
fn summaries() -> Vec<(String, usize, String)> {
    let mut summaries = Vec::new();
    for folder in ["src", "tests", "examples", "benches", "fuzz/src"] {
        for (path, text) in source_files::files(folder) {
            let mut before = "";
            for (number, line) in text.lines().enumerate() {
                let line = line.trim_start();
                let mark = ["///", "//!"].into_iter().find(|mark| line.starts_with(mark)).unwrap_or_default();
                let text = line.strip_prefix(mark).unwrap_or_default().trim_start();
                if !mark.is_empty() && mark != before && !text.is_empty() {
                    summaries.push((path.clone(), number + 1, text.to_owned()));
                }
                before = mark;
            }
        }
    }
    summaries
}

fn asks(summary: &str) -> bool {
    let word: String = summary.chars().take_while(|c| c.is_ascii_alphabetic()).collect::<String>().to_lowercase();
    QUESTIONS.contains(&word.as_str()) || summary.to_lowercase().starts_with("the same ")
}

#[test]
fn summaries_do_not_ask() {
    let all = summaries();
    assert!(all.len() > 3000, "{} summaries were found", all.len());
    let asking: Vec<_> = all.iter().filter(|(.., text)| asks(text)).collect();
    let lines: Vec<_> = asking.iter().map(|(path, line, text)| format!("{path}:{line}: {text}")).collect();
    assert!(
        asking.len() * 100 <= all.len() * PERCENT,
        "{} of {} summaries begin with a question word:\n{}",
        asking.len(),
        all.len(),
        lines.join("\n")
    );
}

#[test]
fn a_question_word_is_seen() {
    assert!(asks("Whether it is so.") && asks("what is kept") && asks("The same as above"));
    assert!(!asks("Whole batches.") && !asks("Returns what is kept.") && !asks("`what` is a name"));
}
