//! `openapi.json` in the tree is what the code says. After a change of the API:
//! `UPDATE_OPENAPI=1 cargo test -p oss2fa-server --test openapi`.

use std::fs;
use std::path::Path;

use oss2fa_server::http::api::operations::document;
use oss2fa_server::http::router::documentation;
use serde_json::Value;

#[test]
#[expect(clippy::disallowed_methods, reason = "whoever runs the test says that the file shall be written")]
fn the_document_in_the_tree_is_the_one_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let text = document(&documentation());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).position(|(kept, new)| kept != new);
    assert!(
        kept == text,
        "openapi.json differs from the code, first in line {:?}. If the change is meant:\n\
         UPDATE_OPENAPI=1 cargo test -p oss2fa-server --test openapi",
        differs.map(|line| line + 1)
    );
}

/// Scripts decide by codes.
#[test]
fn each_code_of_an_error_is_in_the_guide() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/server.md");
    let guide = fs::read_to_string(guide).unwrap();
    let table = guide.split_once("\n## Answers\n").unwrap().1.split("\n## ").next().unwrap();
    let mut codes = Vec::new();
    codes_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"), &mut codes);
    assert!(codes.len() > 50, "{codes:?}");
    codes.retain(|code| !table.contains(&format!("`{code}`")));
    assert_eq!(codes, Vec::<String>::new(), "not in the table of docs/server.md");
}

/// What stands in quotes behind a status.
#[expect(clippy::unwrap_used, reason = "part of a test")]
fn codes_in(folder: &Path, codes: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes_in(&path, codes);
            continue;
        }
        for behind in fs::read_to_string(path).unwrap().split("StatusCode::").skip(1) {
            let behind = behind.trim_start_matches(|c: char| c.is_ascii_uppercase() || c == '_');
            let quoted = behind.strip_prefix(',').and_then(|rest| rest.trim_start().strip_prefix('"'));
            codes.extend(quoted.and_then(|rest| rest.split_once('"')).map(|(code, _)| code.to_owned()));
        }
    }
}

/// What a generator of clients stumbles over.
#[test]
fn each_operation_says_who_may_call_it_and_how_it_fails() {
    let document: Value = serde_json::from_str(&document(&documentation())).unwrap();
    let public = ["/healthz", "/readyz", "/metrics", "/openapi.json"];
    let mut names = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            let secured = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
            assert_eq!(secured, !public.contains(&path.as_str()), "{name}: security");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|status| status.starts_with('2')), "{name}: no success");
            for status in ["405", "406", "408", "429", "500", "503"] {
                assert!(answers.contains_key(status), "{name}: no {status}");
            }
            let named: Vec<_> = path.split('/').filter_map(|part| part.strip_prefix('{')).collect();
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(in_path, named.len(), "{name}: numbers of the path");
            names.push(
                operation["operationId"].as_str().unwrap_or_else(|| panic!("{name}: no id")).to_owned(),
            );
        }
    }
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "two operations have one id: {names:?}");
}
