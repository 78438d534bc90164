//! Random numbers come from `src/random.rs`.

use super::source_files;

#[test]
fn no_other_file_draws_random_numbers_that_an_app_can_seed() {
    let draws = |(path, text): &(String, String)| {
        let text = source_files::without_text(text);
        path != "src/random.rs"
            && text.match_indices("fastrand::").any(|(at, _)| !text[at..].starts_with("fastrand::Rng"))
    };
    let found: Vec<String> = source_files::files("src").into_iter().filter(draws).map(|(path, _)| path).collect();
    assert_eq!(found.iter().filter(|path| !path.contains("/tests")).collect::<Vec<_>>(), Vec::<&String>::new());
}
