//! A WASI command: an ordinary program. Numbers the lines of its arguments' text, or of standard input without any.
//!
//! It needs no SDK: arguments, environment, standard streams and the granted folders are the standard library's.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbered = if arguments.is_empty() {
        number(io::stdin().lock(), io::stdout().lock())
    } else {
        number(arguments.join("\n").as_bytes(), io::stdout().lock())
    };
    match numbered {
        Ok(lines) => {
            eprintln!("{lines} lines");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn number(from: impl BufRead, mut to: impl Write) -> io::Result<u64> {
    let mut lines = 0;
    for line in from.lines() {
        lines += 1;
        writeln!(to, "{lines}\t{}", line?)?;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_numbers() {
        let mut numbered = Vec::new();
        assert_eq!(number(&b"a\n\nb"[..], &mut numbered).unwrap(), 3);
        assert_eq!(numbered, b"1\ta\n2\t\n3\tb\n");
    }
}
