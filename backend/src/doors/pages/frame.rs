//! What every page shows around its content.

use super::assets::asset;
use crate::texts::{Language, Texts};

/// The frame of a page for somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Texts in the reader's language.
    pub t: Texts,
    /// `light` or `dark`; `None` follows the system.
    pub theme: Option<String>,
    /// Which entry of the navigation is current.
    pub place: &'static str,
    /// Goes with every form.
    pub csrf: String,
    /// The team in view.
    pub team: String,
    /// All teams of the reader.
    pub teams: Vec<String>,
    /// The reader's name.
    pub user: String,
    /// May change things in this team (hides what would be refused; the policy decides).
    pub may_write: bool,
    /// Name of the host.
    pub host: String,
    /// Kernel release.
    pub kernel: String,
    /// The address by which the reader reached the host, for links to published ports.
    pub host_name: String,
    /// Containers of the team.
    pub container_count: usize,
    /// Images of the team.
    pub image_count: usize,
    /// Volumes of the team.
    pub volume_count: usize,
    /// Repositories of the team.
    pub repository_count: u64,
    /// What the last act did.
    pub notice: Option<Notice>,
}

/// One sentence about the last act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `ok`, `warn` or `bad`.
    pub tone: &'static str,
    /// The sentence.
    pub text: String,
}

impl Frame {
    /// The address of an asset.
    pub fn asset(&self, name: &str) -> String {
        asset(name)
    }

    /// An icon of the sprite; `name` is a literal of a template.
    pub fn icon(&self, name: &str) -> String {
        icon(name)
    }

    /// The mark of a state: its shape says it without colour.
    pub fn glyph(&self, tone: &str) -> &'static str {
        glyph(tone)
    }

    /// The boat.
    pub fn boat(&self) -> &'static str {
        BOAT
    }
}

/// The frame of a page for somebody who is not.
#[derive(Debug, Clone)]
pub struct Door {
    /// Texts in the reader's language.
    pub t: Texts,
    /// `light` or `dark`; `None` follows the system.
    pub theme: Option<String>,
    /// Name of the host.
    pub host: String,
}

impl Door {
    /// A door in `language`.
    pub fn new(language: Language, theme: Option<String>, host: String) -> Self {
        Self { t: Texts::of(language), theme, host }
    }

    /// The address of an asset.
    pub fn asset(&self, name: &str) -> String {
        asset(name)
    }

    /// An icon of the sprite.
    pub fn icon(&self, name: &str) -> String {
        icon(name)
    }

    /// The boat.
    pub fn boat(&self) -> &'static str {
        BOAT
    }

    /// Heights of the waves of the picture, closer to each other towards the horizon.
    pub fn waves(&self) -> Vec<u32> {
        (0..18_u32).map(|step| 468 + step * 12 + step * step).collect()
    }
}

fn icon(name: &str) -> String {
    format!(
        r##"<svg width="16" height="16" aria-hidden="true" focusable="false"><use href="{}#{name}"></use></svg>"##,
        asset("icons.svg")
    )
}

const BOAT: &str = r#"<svg width="22" height="22" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M2.5 12.5c1.6 3.2 3.6 4.5 6.500 4.500h6c2.900 0 4.900-1.300 6.500-4.500-1.500 1-2.800 1.300-4.500 1.300H7c-1.700 0-3-.3-4.500-1.300z"/><path d="M8 13.500V11a4 4 0 0 1 8 0v2.500"/><path d="M3 20.500c1.500-1 3-1 4.500 0s3 1 4.500 0 3-1 4.500 0 3 1 4.500 0"/></svg>"#;

fn glyph(tone: &str) -> &'static str {
    match tone {
        "running" => {
            r#"<svg class="glyph" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><circle cx="6" cy="6" r="4" fill="currentColor"/></svg>"#
        }
        "starting" => {
            r#"<svg class="glyph" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.5"/><path d="M6 2a4 4 0 0 1 0 8z" fill="currentColor"/></svg>"#
        }
        "restarting" => {
            r#"<svg class="glyph" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><path d="M10.200 5A4.300 4.300 0 1 0 10 8" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round"/><circle cx="6" cy="6" r="1.500" fill="currentColor"/></svg>"#
        }
        "unhealthy" => {
            r#"<svg class="glyph" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><path d="M6 1.500 11 10.500H1z" fill="currentColor"/></svg>"#
        }
        "failed" => {
            r#"<svg class="glyph" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><path d="m2.500 2.500 7 7m0-7-7 7" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"/></svg>"#
        }
        "paused" => {
            r#"<svg class="glyph" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><path d="M3 2h2v8H3zM7 2h2v8H7z" fill="currentColor"/></svg>"#
        }
        "created" => {
            r#"<svg class="glyph" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="2 1.600"/></svg>"#
        }
        _ => {
            r#"<svg class="glyph" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>"#
        }
    }
}

#[cfg(test)]
mod tests {
    use super::glyph;

    #[test]
    fn every_state_has_its_own_shape() {
        let tones = ["running", "starting", "restarting", "unhealthy", "failed", "paused", "created", "finished"];
        let shapes: std::collections::BTreeSet<&str> = tones.into_iter().map(glyph).collect();
        assert_eq!(shapes.len(), tones.len());
    }
}
