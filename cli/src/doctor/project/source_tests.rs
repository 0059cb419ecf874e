use super::*;

fn file(source: &str) -> File {
    let Stripped { code, text } = strip(source);
    File { path: "src/main.rs".to_owned(), package: 0, binary: None, code, text }
}

#[test]
fn words_are_found_whole_and_with_their_place() {
    let file = file("fn a() {}\n// init()\nfn b() { reinit(); init(\"x\"); }\n");
    let places: Vec<String> = file.find("init(").map(|at| file.place(at)).collect();
    assert_eq!(places, ["src/main.rs:3"]);
    assert!(file.has("init") && !file.has("ini") && !file.has("x"));
}

#[test]
fn a_statement_reaches_from_its_beginning_to_its_end() {
    let file = file(
        "fn main() {\n    first();\n    let a = b(|| { c(); d() })\n        .e(\"f; g\")\n        .h();\n    last()\n}\n",
    );
    let at = file.find(".h()").next().expect("there");
    let statement = file.code(file.statement(at)).trim().to_owned();
    assert!(statement.starts_with("let a = b(") && statement.ends_with(".h()"), "{statement}");
    let at = file.find("last").next().expect("there");
    assert_eq!(file.code(file.statement(at)).trim(), "last()");
}

#[test]
fn a_function_is_the_innermost_one_with_its_head() {
    let file = file(
        "mod m {\n    pub async fn outer() {\n        fn inner() { x(); }\n        y();\n    }\n    trait T { fn z(); }\n}\nstatic S: u8 = w();",
    );
    let body = |word: &str| {
        let at = file.find(word).next().expect("there");
        file.code(file.function(at)).trim().to_owned()
    };
    assert!(body("x()").starts_with("fn inner"), "{}", body("x()"));
    assert!(body("y()").starts_with("pub async fn outer"), "{}", body("y()"));
    assert!(body("w()").starts_with("mod m"), "no function: the file");
}

#[test]
fn a_line_is_shown_without_the_contents_of_string_literals() {
    let file = file("    init(\"s3cret\", 'x', r#\"s3cret\"#); // s3cret\n");
    let at = file.find("init").next().expect("there");
    let line = file.line(at);
    assert!(line.starts_with("init(\"…\"") && !line.contains("s3cret"), "{line}");
}

#[test]
fn a_string_literal_after_a_word_is_read_from_the_same_statement() {
    let file = file("a().with_endpoint( \"http://x\").b();\nc().with_endpoint(y);");
    let at = |word: &str| file.statement(file.find(word).next().expect("there"));
    assert_eq!(file.text_after(at("a()"), ".with_endpoint("), Some("http://x"));
    assert_eq!(file.text_after(at("c()"), ".with_endpoint("), None);
    assert_eq!(file.text_after(at("c()"), ".nothing("), None);
}

#[test]
fn odd_sources_break_nothing() {
    for source in
        ["", "\u{e4}fn \u{e4}(", "fn", "fn ", "};)]", "let _ = ", "if let Ok(", "\"\u{1f600}", "fn a() { \u{1f600} }"]
    {
        let file = file(source);
        for at in (0..=file.code.len()).filter(|at| file.code.is_char_boundary(*at)) {
            let _ranges = (file.statement(at), file.function(at), file.line(at), file.place(at));
        }
    }
}

#[test]
fn sources_at_random_break_nothing() {
    const PIECES: [&str; 20] = [
        "fn a",
        "(",
        ")",
        "{",
        "}",
        ";",
        "\"",
        "'",
        "r#\"",
        "\"#",
        "//",
        "/*",
        "*/",
        "\n",
        "\\",
        "let _ =",
        "#[cfg(test)]",
        "\u{e4}",
        " ",
        "if let Ok(",
    ];
    let mut random = fastrand::Rng::with_seed(45);
    for _ in 0..5000 {
        let source: String = (0..random.usize(..40)).map(|_| PIECES[random.usize(..PIECES.len())]).collect();
        let file = file(&source);
        assert_eq!((file.code.len(), file.text.len()), (source.len(), source.len()), "{source}");
        for word in ["fn ", "let _ =", "if let Ok(", "a"] {
            for at in file.find(word) {
                let _pieces = (file.code(file.statement(at)), file.code(file.function(at)), file.line(at));
                let _text = file.text_after(file.statement(at), word);
            }
        }
    }
}
