//! Lists in pages: `limit` items, and an opaque cursor for the next ones.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Problem;

/// Most items of a page, and how many there are when nothing is said.
const MOST: u32 = 1000;

/// Which page.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// At most so many items: 1 to 1000
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    pub limit: Option<u32>,
    /// `next` of the page before
    pub cursor: Option<String>,
}

/// One page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; null: there is no more
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Everything at once.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// How many items are wanted.
pub fn limit(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(MOST) {
        limit @ 1..=MOST => Ok(limit),
        limit => Err(Problem::invalid(format!("limit is {limit}, but must be from 1 to {MOST}"))),
    }
}

/// What a cursor says.
pub fn read<T: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let wrong = || Problem::invalid("the cursor is none that this list gave");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    serde_json::from_slice(&bytes).map(Some).map_err(|_| wrong())
}

/// A cursor that says `position`.
pub fn write<T: Serialize>(position: &T) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::json!(position).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_says_what_it_was_made_of_and_others_are_refused() {
        let position = (5_i64, "abc".to_owned());
        assert_eq!(read::<(i64, String)>(Some(&write(&position))).unwrap(), Some(position));
        assert_eq!(read::<i64>(None).unwrap(), None);
        assert!(read::<i64>(Some("!")).is_err());
        assert!(read::<i64>(Some(&write(&"text"))).is_err());
    }

    #[test]
    fn a_limit_is_from_1_to_1000() {
        assert_eq!(limit(None).unwrap(), 1000);
        assert_eq!(limit(Some(1)).unwrap(), 1);
        assert!(limit(Some(0)).is_err());
        assert!(limit(Some(1001)).is_err());
    }
}
