//! Tables of plain text: columns as wide as their widest cell, two spaces between them, no frame.
//!
//! A frame would only get in the way of `awk`; `-o json` is for programs. Width is counted in characters, so that a cell
//! with wide ones (CJK) moves its row, and nothing else.

use crate::human::printable;
use crate::output::Style;

/// Which side of a column its cells stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// A table being made.
#[derive(Debug)]
pub(crate) struct Table {
    heads: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these columns; a head that begins with `>` makes a column of numbers, to the right.
    pub(crate) fn new(heads: &[&'static str]) -> Self {
        let heads = heads.iter().map(|head| match head.strip_prefix('>') {
            Some(head) => (head, Side::Right),
            None => (*head, Side::Left),
        });
        Self { heads: heads.collect(), rows: Vec::new() }
    }

    /// Adds a row. Missing cells are empty, further ones are left out.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().take(self.heads.len()).map(|cell| printable(&cell)).collect());
    }

    /// As text, each line ended; without rows it says so.
    pub(crate) fn render(&self, style: Style) -> String {
        if self.rows.is_empty() {
            return format!("{}\n", style.faint("none"));
        }
        let widths: Vec<usize> =
            self.heads.iter().enumerate().map(|(i, (head, _))| self.width(i, head)).collect();
        let heads: Vec<String> = self.heads.iter().map(|(head, _)| (*head).to_owned()).collect();
        let mut text = style.strong(&self.line(&heads, &widths));
        text.push('\n');
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
            text.push('\n');
        }
        text
    }

    fn width(&self, column: usize, head: &str) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).fold(head.chars().count(), usize::max)
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (i, (width, (_, side))) in widths.iter().zip(&self.heads).enumerate() {
            let cell = cells.get(i).map_or("", String::as_str);
            let separator = if i == 0 { "" } else { "  " };
            line.push_str(separator);
            line.push_str(&match side {
                Side::Left => format!("{cell:<width$}"),
                Side::Right => format!("{cell:>width$}"),
            });
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// One thing's members, a line each.
pub(crate) fn fields(members: &[(&str, String)], style: Style) -> String {
    let width = members.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in members {
        let name = style.faint(&format!("{name:<width$}"));
        let mut lines = value.lines();
        text.push_str(&format!("{name}  {}\n", printable(lines.next().unwrap_or(""))));
        for line in lines {
            text.push_str(&format!("{:width$}  {}\n", "", printable(line)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_lines_have_no_trailing_space() {
        let mut table = Table::new(&["NAME", ">SIZE", "NOTE"]);
        table.row(["a".into(), "1000".into(), String::new()]);
        table.row(["longer".into(), "7".into(), "x\u{1b}[2J".into()]);
        assert_eq!(
            table.render(Style::PLAIN),
            "NAME    SIZE  NOTE\na       1000\nlonger     7  x\u{fffd}[2J\n"
        );
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(Table::new(&["A"]).render(Style::PLAIN), "none\n");
    }

    #[test]
    fn rows_of_any_length_are_fitted() {
        let mut table = Table::new(&["A", "B"]);
        table.row(["1".into()]);
        table.row(["1".into(), "2".into(), "3".into()]);
        assert_eq!(table.render(Style::PLAIN), "A  B\n1\n1  2\n");
    }

    #[test]
    fn members_stand_below_each_other() {
        let text = fields(&[("id", "x".into()), ("status", "a\nb".into())], Style::PLAIN);
        assert_eq!(text, "id      x\nstatus  a\n        b\n");
    }
}
