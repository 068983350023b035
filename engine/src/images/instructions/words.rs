//! Words of an instruction: quotes, escapes, variables. Source: Dockerfile reference, "Environment replacement"; moby
//! `buildkit/frontend/dockerfile/shell`.

use std::iter::Peekable;
use std::str::Chars;

use super::invalid;
use crate::images::ImageError;

/// Lines `NAME=value` that variables stand for; the last of a name counts.
#[derive(Clone, Copy)]
pub(super) struct Expand<'a>(pub &'a [String]);

impl<'a> Expand<'a> {
    fn value(self, name: &str) -> Option<&'a str> {
        let named = |line: &String| line.split_once('=').is_some_and(|(other, _)| other == name);
        self.0.iter().rev().find(|line| named(line)).and_then(|line| line.split_once('=')).map(|(_, value)| value)
    }
}

/// Splits at white space outside of quotes, takes quotes and escapes away, and puts variables in.
pub(super) fn split(text: &str, expand: Option<Expand<'_>>) -> Result<Vec<String>, ImageError> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        if letters.peek().is_none() {
            return Ok(words);
        }
        words.push(word(&mut letters, expand, char::is_whitespace)?);
    }
}

/// One word up to where `ends` holds outside of quotes.
fn word(
    letters: &mut Peekable<Chars<'_>>,
    expand: Option<Expand<'_>>,
    ends: impl Fn(char) -> bool,
) -> Result<String, ImageError> {
    let mut word = String::new();
    while let Some(letter) = letters.next_if(|letter| !ends(*letter)) {
        match letter {
            '\'' => loop {
                match letters.next() {
                    Some('\'') => break,
                    Some(letter) => word.push(letter),
                    None => return Err(invalid("a single quote is not closed")),
                }
            },
            '"' => loop {
                match letters.next() {
                    Some('"') => break,
                    Some('\\') => match letters.next() {
                        Some(escaped @ ('"' | '\\' | '$')) => word.push(escaped),
                        Some(other) => word.extend(['\\', other]),
                        None => return Err(invalid("a double quote is not closed")),
                    },
                    Some('$') => variable(letters, expand, &mut word)?,
                    Some(letter) => word.push(letter),
                    None => return Err(invalid("a double quote is not closed")),
                }
            },
            '\\' => word.extend(letters.next()),
            '$' => variable(letters, expand, &mut word)?,
            letter => word.push(letter),
        }
    }
    Ok(word)
}

/// What stands behind a `$`.
fn variable(
    letters: &mut Peekable<Chars<'_>>,
    expand: Option<Expand<'_>>,
    word: &mut String,
) -> Result<(), ImageError> {
    let Some(expand) = expand else {
        word.push('$');
        return Ok(());
    };
    let is_name = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
    if letters.next_if_eq(&'{').is_none() {
        let mut name = String::new();
        while let Some(letter) = letters.next_if(is_name) {
            name.push(letter);
        }
        match name.is_empty() {
            true => word.push('$'),
            false => word.push_str(expand.value(&name).unwrap_or_default()),
        }
        return Ok(());
    }
    let inner: String = letters.by_ref().take_while(|letter| *letter != '}').collect();
    let name: String = inner.chars().take_while(is_name).collect();
    let value = expand.value(&name);
    let filled = value.filter(|value| !value.is_empty());
    let rest = &inner[name.len()..];
    let shown = match (rest.get(..2), rest) {
        (_, "") => value.unwrap_or_default(),
        (Some(":-"), rest) => filled.unwrap_or(&rest[2..]),
        (Some(":+"), rest) => filled.map_or("", |_| &rest[2..]),
        _ => return Err(invalid(format!("${{{inner}}} is not understood"))),
    };
    if name.is_empty() {
        return Err(invalid(format!("${{{inner}}} names no variable")));
    }
    word.push_str(shown);
    Ok(())
}

/// `NAME=value …`, or the old `NAME value` where no `=` stands in the first word.
pub(super) fn assignments(
    instruction: &str,
    text: &str,
    expand: Expand<'_>,
) -> Result<Vec<(String, String)>, ImageError> {
    let nameless = || invalid(format!("{instruction} has a value without a name"));
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') && !first.starts_with(['"', '\'']) {
        let (name, value) = text
            .split_once(char::is_whitespace)
            .ok_or_else(|| invalid(format!("{instruction} needs a value for {text}")))?;
        let mut letters = value.trim().chars().peekable();
        return Ok(vec![(name.to_owned(), word(&mut letters, Some(expand), |_| false)?)]);
    }
    let mut pairs = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        if letters.peek().is_none() {
            return Ok(pairs);
        }
        let name = word(&mut letters, Some(expand), |letter| letter == '=' || letter.is_whitespace())?;
        if name.is_empty() || name.contains('=') {
            return Err(nameless());
        }
        if letters.next_if_eq(&'=').is_none() {
            return Err(invalid(format!("{instruction} needs {name}=VALUE")));
        }
        pairs.push((name, word(&mut letters, Some(expand), char::is_whitespace)?));
    }
}
