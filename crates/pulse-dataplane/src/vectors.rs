//! The files in tests/vectors: bytes that Rust and Python must agree on.
//!
//! A test renders what this code produces and compares it with the file, letter by letter. After a wanted
//! change of the format run it once with `PULSE_WRITE_VECTORS=1`, and look at the difference.

use std::fmt::{Display, Write as _};
use std::path::Path;

/// One vector: names and JSON values, in order.
pub type Vector = Vec<(&'static str, String)>;

/// Compare `vectors` with the file `name`.
pub fn check(name: &str, about: &str, vectors: &[Vector]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(name);
    let text = render(about, vectors);
    if std::env::var_os("PULSE_WRITE_VECTORS").is_some() {
        assert!(std::fs::write(&path, &text).is_ok(), "{} cannot be written", path.display());
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        text,
        "{} is not what this code produces",
        path.display()
    );
}

fn render(about: &str, vectors: &[Vector]) -> String {
    let bodies: Vec<String> = vectors.iter().map(|vector| format!("    {{\n{}\n    }}", fields(vector))).collect();
    format!("{{\n  \"about\": \"{about}\",\n  \"vectors\": [\n{}\n  ]\n}}\n", bodies.join(",\n"))
}

fn fields(vector: &Vector) -> String {
    let lines: Vec<String> = vector.iter().map(|(name, value)| format!("      \"{name}\": {value}")).collect();
    lines.join(",\n")
}

/// A JSON string.
pub fn quoted(text: impl Display) -> String {
    format!("\"{text}\"")
}

/// A JSON string of hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(digits, "{byte:02x}");
    }
    quoted(digits)
}
