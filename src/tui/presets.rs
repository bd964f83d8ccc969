//! Presets: the keys of programs that many know, by a name. Each is a set of wishes as a user could write them; what the
//! user does write goes before it. Knows no file.

use super::actions::Remap;

/// Actions and their keys; what is not named stays where it is.
type Preset = &'static [(&'static str, &'static [&'static str])];

const PRESETS: [(&str, Preset); 2] = [
    (
        "k9s",
        &[
            ("stop", &["^d", "^k", "S"]),
            // What ^d and ^u are otherwise.
            ("half-down", &["M-d"]),
            ("half-up", &["M-u"]),
            ("page-down", &["PgDn", "^f"]),
            ("page-up", &["PgUp", "^b"]),
            ("open", &["Enter", "d"]),
            ("shell", &["s"]),
            ("yank", &["c"]),
            ("zoom", &["f"]),
            ("wrap", &["w"]),
            ("times", &["t"]),
        ],
    ),
    (
        "vim",
        &[
            ("next-pane", &["Tab", "Right", "l"]),
            ("previous-pane", &["S-Tab", "Left", "h"]),
            ("logs", &["L"]),
            ("page-down", &["PgDn", "^f"]),
            ("page-up", &["PgUp", "^b"]),
        ],
    ),
];

impl Remap {
    /// The preset of this name as wishes, without the actions that the user has put on keys of their own.
    pub fn preset(name: &str, own: &[Self]) -> Result<Vec<Self>, String> {
        let Some((_, preset)) = PRESETS.iter().find(|(known, _)| *known == name) else {
            let names = PRESETS.map(|(name, _)| format!("`{name}`"));
            return Err(format!("there is no preset `{name}`; there are {}", names.join(" and ")));
        };
        let wishes = preset.iter().map(|(action, keys)| {
            let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
            Self::of(action)?.on(&keys)
        });
        let mut wishes = wishes.collect::<Result<Vec<_>, String>>()?;
        wishes.retain(|wish| own.iter().all(|own| own.command != wish.command));
        Ok(wishes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keymap::{Command, Context, Keymap};
    use super::*;

    fn command(keymap: &Keymap, key: &str) -> Option<Command> {
        let mut rows = keymap.0.iter().filter(|row| row.binding.context == Context::Panes);
        rows.find(|row| row.keys.contains(&key.parse().unwrap())).map(|row| row.binding.command)
    }

    #[test]
    fn every_preset_can_be_met_as_a_whole() {
        for (name, _) in PRESETS {
            let (keymap, clashes) = Keymap::remapped(&Remap::preset(name, &[]).unwrap());
            assert_eq!(clashes, [], "{name}");
            assert_ne!(keymap, Keymap::default());
        }
        let error = Remap::preset("emacs", &[]).unwrap_err();
        assert_eq!(error, "there is no preset `emacs`; there are `k9s` and `vim`");
    }

    #[test]
    fn the_same_key_is_another_action_in_each() {
        let keymap = |name| Keymap::remapped(&Remap::preset(name, &[]).unwrap()).0;
        let (k9s, vim) = (keymap("k9s"), keymap("vim"));
        for (key, in_k9s, in_vim) in [
            ("^d", Command::Stop, Command::HalfDown),
            ("l", Command::Logs, Command::NextPane),
            ("^f", Command::PageDown, Command::PageDown),
        ] {
            assert_eq!((command(&k9s, key), command(&vim, key)), (Some(in_k9s), Some(in_vim)), "{key}");
        }
        assert_eq!(command(&k9s, "s"), Some(Command::Shell));
        assert_eq!(command(&vim, "L"), Some(Command::Logs));
    }
}
