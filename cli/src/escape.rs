//! Text for terminals. All text that contains names from files goes through here.

/// The text with control and format characters escaped. Names come from untrusted files: they must not move the cursor
/// of a terminal, change its colours, or reverse the order of letters.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_format_character(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A message of several lines, each [`escaped`].
pub(crate) fn escaped_lines(text: &str) -> String {
    text.split_inclusive('\n').fold(String::new(), |shown, line| match line.strip_suffix('\n') {
        Some(line) => shown + &escaped(line) + "\n",
        None => shown + &escaped(line),
    })
}

/// Whether a character is invisible, or changes the direction or the lines of the text around it: the categories Cf, Zl
/// and Zp of Unicode 16, as far as they occur outside of rare scripts.
fn is_format_character(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}
