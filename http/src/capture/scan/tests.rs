use super::{Rules, redact, redact_form};
use crate::capture::secret_names::is_secret;

fn rules(is_cut: bool) -> Rules<'static> {
    Rules { is_secret: &is_secret, is_cut }
}

#[track_caller]
fn check(rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        assert_eq!(redact(text, rules(false)), *expected, "{text}");
    }
}

#[track_caller]
fn unchanged(texts: &[&str]) {
    for text in texts {
        assert_eq!(redact(text, rules(false)), *text);
    }
}

#[test]
fn json_is_redacted_by_key_at_any_depth() {
    check(&[
        (r#"{"password":"hunter2","user":"bob"}"#, r#"{"password":"[redacted]","user":"bob"}"#),
        (r#"{ "a" : { "accessToken" : "x" , "b" : 1 } }"#, r#"{ "a" : { "accessToken" : "[redacted]" , "b" : 1 } }"#),
        (r#"{"pin":1234,"n":2}"#, r#"{"pin":"[redacted]","n":2}"#),
        (
            r#"[{"cvv":123},{"otp":null},{"secret":true}]"#,
            r#"[{"cvv":"[redacted]"},{"otp":"[redacted]"},{"secret":"[redacted]"}]"#,
        ),
        (r#"{"password":"a\"b\\","n":1}"#, r#"{"password":"[redacted]","n":1}"#),
        (r#"{"password":"a,b}:c","n":1}"#, r#"{"password":"[redacted]","n":1}"#),
        (r#"{"secret":{"a":["}",{"b":"]"}]},"n":1}"#, r#"{"secret":"[redacted]","n":1}"#),
        (r#"{"tokens":["a","b"],"n":1}"#, r#"{"tokens":"[redacted]","n":1}"#),
        (r#"{"pass\u0077ord":"x","\u0074oken":"y"}"#, r#"{"pass\u0077ord":"[redacted]","\u0074oken":"[redacted]"}"#),
        (r#"{"password":"a","password":"b"}"#, r#"{"password":"[redacted]","password":"[redacted]"}"#),
        (r#"{"secret \"x\"":"a","n":1}"#, r#"{"secret \"x\"":"[redacted]","n":1}"#),
        (r#"{"password":"","token":"x"}"#, r#"{"password":"[redacted]","token":"[redacted]"}"#),
        ("{\n  \"password\":\n    \"x\",\n  \"n\": 1\n}", "{\n  \"password\":\n    \"[redacted]\",\n  \"n\": 1\n}"),
        (
            "{\"token\":\"a\"}\n{\"token\":\"b\",\"n\":1}\n",
            "{\"token\":\"[redacted]\"}\n{\"token\":\"[redacted]\",\"n\":1}\n",
        ),
        ("data: {\"token\":\"a\"}\n\ndata: {\"n\":1}\n\n", "data: {\"token\":\"[redacted]\"}\n\ndata: {\"n\":1}\n\n"),
        // JSON inside of a JSON string.
        (r#"{"body":"{\"password\":\"a\\\"b\",\"n\":1}"}"#, r#"{"body":"{\"password\":\"[redacted]\",\"n\":1}"}"#),
        (r#"{"body":"{\"pin\":1}","n":1}"#, r#"{"body":"{\"pin\":\"[redacted]\"}","n":1}"#),
        // A name and its value in two members.
        (r#"{"name":"DB_PASSWORD","value":"x","n":1}"#, r#"{"name":"DB_PASSWORD","value":"[redacted]","n":1}"#),
        (r#"[{"name":"author","value":"x"}]"#, r#"[{"name":"author","value":"x"}]"#),
    ]);
}

#[test]
fn malformed_json_is_redacted_rather_too_much() {
    check(&[
        ("{'password':'it\\'s','n':1}", "{'password':'[redacted]','n':1}"),
        ("{'password': b'x', 'n': 1}", "{'password': '[redacted]', 'n': 1}"),
        ("{password: \"x\", n: 1}", "{password: \"[redacted]\", n: 1}"),
        ("{password: hunter2, n: 1}", "{password: [redacted], n: 1}"),
        ("{\"password\": hunter2 and more, \"n\": 1}", "{\"password\": \"[redacted]\", \"n\": 1}"),
        ("{\"password\":\"hun\"ter2\",\"n\":1}", "{\"password\":\"[redacted]\",\"n\":1}"),
        ("{\"password\":\"hunter2,\"n\":1", "{\"password\":\"[redacted]\":1"),
        ("\" {\"password\":\"hunter2\"}", "\" {\"password\":\"[redacted]\"}"),
        ("password\":\"hunter2\"}", "password\":\"[redacted]\"}"),
        ("{\"token\":\"\n{\"password\":\"hunter2\"}", "{\"token\":\"[redacted]\":\"[redacted]\"}"),
        ("User { password: Some(\"a, b: c\"), n: 1 }", "User { password: [redacted], n: 1 }"),
        ("{user=bob, password=x y, n=1}", "{user=bob, password=[redacted], n=1}"),
        ("password=\"\"\"a\"b\"\"\"", "password=\"[redacted]\""),
    ]);
}

#[test]
fn unfinished_values_are_redacted_to_the_end() {
    let document =
        r#"{"user":"bob","nested":{"password":"h\u0075\"nter2","n":1},"secret":{"deep":["nter2"]},"jwt":123}"#;
    for end in 0..=document.len() {
        let cut = redact(&document[..end], rules(true));
        assert!(!cut.contains("nter") && !cut.contains("h\\u") && !cut.contains("12"), "{cut}");
    }
    for text in [
        "x eyJh",
        "x Bearer ab",
        "Basic QW",
        "https://me:pw",
        "<a><password><b>ab",
        "secret: [a, b",
        "-----BEGIN PRIVATE KEY-----\nMII",
    ] {
        let cut = redact(text, rules(true));
        assert!(cut.ends_with("[redacted]"), "{cut}");
    }
}

#[test]
fn pairs_in_text_are_redacted() {
    check(&[
        ("password=hunter2 user=bob", "password=[redacted] user=bob"),
        ("password=correct horse battery", "password=[redacted]"),
        ("password = correct horse\nuser = bob", "password = [redacted]\nuser = bob"),
        ("a=1&password=b&c=2", "a=1&password=[redacted]&c=2"),
        ("Server=db;Password=a,b;User=me", "Server=db;Password=[redacted];User=me"),
        ("password: correct horse\nuser: bob", "password: [redacted]\nuser: bob"),
        ("api key: abc", "api key: [redacted]"),
        ("the password is: hunter2", "the password is: [redacted]"),
        ("Authorization: Basic abc\r\nHost: x\r\n", "Authorization: [redacted]\r\nHost: x\r\n"),
        ("secret: QUJD REVG==", "secret: [redacted]"),
        ("https://host/a?b=1&X-Amz-Signature=abc&c=2 end", "https://host/a?b=1&X-Amz-Signature=[redacted]&c=2 end"),
        (r#"{"url":"https://host/?a=1\u0026token=abc"}"#, r#"{"url":"https://host/?a=1\u0026token=[redacted]"}"#),
        (
            "{&quot;password&quot;:&quot;hunter2&quot;,&quot;n&quot;:1}",
            "{&quot;password&quot;:[redacted],&quot;n&quot;:1}",
        ),
        ("next=%2Fcb%3Ftoken%3Dabc&n=1", "next=[redacted]&n=1"),
        ("x=%7B%22password%22%3A%22a%22%7D", "x=[redacted]"),
        ("x=%257B%2522password%2522%253A%2522a%2522%257D", "x=[redacted]"),
    ]);
    unchanged(&[
        "a=%3D%3D",
        "time: 12:30:00",
        "http://host:80/a",
        "std::fmt::Display",
        "author=me",
        "password",
        "password:",
        "token=",
    ]);
}

#[test]
fn yaml_values_continue_on_deeper_lines() {
    check(&[
        ("private_key: |\n  MII\n\n  abc\nuser: bob\n", "private_key: [redacted]\nuser: bob\n"),
        ("a:\n  secret:\n    x: 1\n    y: 2\n  n: 1\n", "a:\n  secret:[redacted]\n  n: 1\n"),
        ("tokens:\n- a\n- b\nn: 1\n", "tokens:[redacted]\nn: 1\n"),
        ("- token: a\n  name: b\n- name: c\n", "- token: [redacted]\n  name: b\n- name: c\n"),
        (
            "- name: DB_PASSWORD\n  value: hunter2\n- name: x\n  value: y\n",
            "- name: DB_PASSWORD\n  value: [redacted]\n- name: x\n  value: y\n",
        ),
    ]);
}

#[test]
fn elements_and_attributes_are_redacted_by_name() {
    check(&[
        ("<a><password>hunter2</password><b>1</b></a>", "<a><password>[redacted]</password><b>1</b></a>"),
        ("<w:Password Type=\"text\">x</w:Password>", "<w:Password [redacted]>[redacted]</w:Password>"),
        ("<secret><secret>a</secret>b</secret>c", "<secret>[redacted]</secret>c"),
        ("<secret><![CDATA[</secret>x]]></secret>c", "<secret>[redacted]</secret>c"),
        ("<token value=\"a>b\"/><n>1</n>", "<token [redacted]/><n>1</n>"),
        ("<user password='x' name=\"bob\"/>", "<user password='[redacted]' name=\"bob\"/>"),
        ("<property name=\"db.password\">x</property>", "<property [redacted]>[redacted]</property>"),
        ("<input name=\"csrf_token\" value=\"x\"><p>hello</p>", "<input [redacted]><p>hello</p>"),
        (
            "<key>password</key><string>x</string><string>y</string>",
            "<key>password</key><string>[redacted]</string><string>y</string>",
        ),
        ("&lt;password&gt;x&lt;/password&gt;&lt;n&gt;", "&lt;password&gt;[redacted]&lt;/password&gt;&lt;n&gt;"),
        (r"\u003cpassword\u003ex\u003c/password\u003e1", r"\u003cpassword\u003e[redacted]\u003c/password\u003e1"),
        ("expected Vec<Token>, found Vec<u8>", "expected Vec<Token>[redacted]<u8>"),
    ]);
    unchanged(&[
        "<author>me</author>",
        "<password></password>",
        "<password/>",
        "a < password",
        "<!-- x --><?xml?>",
        "<token",
    ]);
}

#[test]
fn tokens_are_recognized_without_a_name() {
    check(&[
        ("a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln b", "a [redacted] b"),
        (r#"["x\neyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0"]"#, r#"["x\n[redacted]"]"#),
        ("[\"Bearer T0KEN\"]", "[\"Bearer [redacted]\"]"),
        ("sent bearer abc, ok", "sent bearer [redacted], ok"),
        ("Basic QWxhZGRpbjpvcGVu", "Basic [redacted]"),
        ("id AKIAIOSFODNN7EXAMPLE", "id [redacted]"),
        ("ghp_0123456789abcdef0123", "[redacted]"),
        ("https://me:hunter2@host/a", "https://[redacted]@host/a"),
        (r"https:\/\/me:hunter2@host\/a", r"https:\/\/[redacted]@host\/a"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY-----\n",
        ),
    ]);
    let letters = "0123456789abcdefghijABCDEFGHIJ0123456789";
    for prefix in ["ghu_", "ghr_", "xoxa-", "xoxs-", "xapp-", "whsec_", "npm_", "hf_", "SG."] {
        assert_eq!(redact(&format!("id {prefix}{letters}, n"), rules(false)), "id [redacted], n");
    }
    unchanged(&[
        "npm_config_registry",
        "basic training",
        "forbearer x",
        "eyJ",
        "task-force sk-x",
        "-----BEGIN CERTIFICATE-----\nMII",
        "me@host",
        "https://host/@me",
    ]);
}

#[test]
fn forms_are_split_at_ampersands_only() {
    for (form, expected) in [
        ("user=bob&password=a+b%26c;d e&n=1", "user=bob&password=[redacted]&n=1"),
        (
            "pass%77ord=x&user%5Btoken%5D=y&api+key=z",
            "pass%77ord=[redacted]&user%5Btoken%5D=[redacted]&api+key=[redacted]",
        ),
        ("payload=%7B%22token%22%3A%22x%22%7D&n=1", "payload=[redacted]&n=1"),
        ("a=1;password=x&n=1", "a=[redacted]&n=1"),
        ("password=&token&n=", "password=&token&n="),
        ("author=me&note=hello+world%21", "author=me&note=hello+world%21"),
        ("password", "password"),
        ("", ""),
        // JSON with the content type of a form.
        (" {\"password\":\"a&b=\",\"n\":1}", " {\"password\":\"[redacted]\",\"n\":1}"),
        ("password%3Dx&n=1", "[redacted]&n=1"),
    ] {
        assert_eq!(redact_form(form, rules(false)), expected, "{form}");
    }
}

/// With a search from each name to the end of the text, one of these takes more than ten seconds.
#[test]
fn hostile_texts_take_linear_time() {
    let size = 1 << 15;
    for piece in [
        "password:",
        "password: ",
        "password=",
        "\"password\":[",
        "<password>",
        "<password a=\"",
        "<secret",
        "&lt;secret ",
        "name:",
        "\"",
        "\\\"",
        "\\",
        "\\\":",
        ":",
        "%3D",
        "%",
        "{",
        "token=\"",
        "token=' ",
        "a=b ",
        ", ",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "://",
        "bearer+",
        "Basic%20",
        "AKIA",
        "<name>",
        "eyJ",
        "bearer ",
        "basic+",
        "basic%20",
        "&quot;",
        "\"token\":\"",
        "secret:\n ",
        "<password><![CDATA[",
        "<a name='",
        "key=\"",
        "'",
        "é:",
        "password: \"",
        "<",
        "</",
    ] {
        assert_fast(piece, &piece.repeat(size / piece.len()));
    }
    // Names whose opening quote is never found, because each closing one is escaped less.
    let mut text = "aB".repeat(size / 4);
    for depth in (0..256).rev() {
        text.push_str(&"\\".repeat(depth));
        text.push_str("\":");
    }
    assert_fast("quotes", &text);
}

fn assert_fast(what: &str, text: &str) {
    let start = std::time::Instant::now();
    let length = redact(text, rules(true)).len() + redact_form(text, rules(false)).len();
    assert!(start.elapsed() < std::time::Duration::from_secs(8), "{what} {length}");
}
