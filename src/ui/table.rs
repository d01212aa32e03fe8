//! Tables of at most 80 columns, without lines, so that they can be copied and cut.

use super::paint::Paint;
use super::text::plain;
use crate::model::container::{Status, Summary};
use comfy_table::{Cell, Color, ContentArrangement, Table};

/// Returns the table of `inventory --format table`.
pub(super) fn inventory(containers: &[Summary], paint: Paint, width: u16) -> String {
    let mut table = new(&["CTID", "NAME", "STATUS", "SIZE", "ADDRESSES", "TEMPLATE"], paint, width);
    for c in containers {
        let (status, color) = match c.status {
            Status::Running => ("running", Some(Color::DarkGreen)),
            Status::Stopped => ("stopped", None),
            Status::Mounted => ("mounted", Some(Color::DarkYellow)),
            Status::Suspended => ("suspended", Some(Color::DarkYellow)),
        };
        let name = c.name.as_deref().or(c.hostname.as_deref()).unwrap_or("-");
        table.add_row([
            Cell::new(c.ctid.as_str()),
            Cell::new(plain(name)),
            colored(status, color, paint),
            Cell::new(c.size.map_or("-".into(), |s| s.to_string())),
            Cell::new(plain(&c.addresses.join(" "))),
            Cell::new(plain(c.ostemplate.as_deref().unwrap_or("-"))),
        ]);
    }
    finished(&table)
}

/// Returns a table with a header and cells of text, made harmless.
pub(super) fn simple(header: &[&str], rows: &[Vec<String>], paint: Paint, width: u16) -> String {
    let mut table = new(header, paint, width);
    for row in rows {
        table.add_row(row.iter().map(|cell| Cell::new(plain(cell))));
    }
    finished(&table)
}

fn new(header: &[&str], paint: Paint, width: u16) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    // comfy-table would ask standard output itself; the decision was made once, in Paint.
    if paint.is_on() {
        table.enforce_styling()
    } else {
        table.force_no_tty()
    };
    table.set_header(header.iter().map(Cell::new));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn colored(text: &str, color: Option<Color>, paint: Paint) -> Cell {
    match color {
        Some(color) if paint.is_on() => Cell::new(text).fg(color),
        _ => Cell::new(text),
    }
}

fn finished(table: &Table) -> String {
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ctid::Ctid;
    use crate::model::size::Bytes;

    fn containers() -> Vec<Summary> {
        let one = |ctid: &str, name: &str, status, addresses: &[&str]| Summary {
            ctid: Ctid::parse(ctid).unwrap(),
            name: None,
            hostname: Some(name.into()),
            status,
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            size: Some(Bytes(3 << 30)),
            inodes: None,
            ostemplate: Some("centos-6-x86_64".into()),
        };
        vec![
            one("101", "racktables.example.com", Status::Running, &["10.1.0.101", "2001:db8:10:1::101"]),
            one("5fbaabe3-6958-40ff-92a7-860e329aab41", "a\u{1b}[2J\nb", Status::Suspended, &[]),
        ]
    }

    #[test]
    fn eighty_columns_are_enough_and_nothing_is_lost() {
        let text = inventory(&containers(), Paint::off(), 80);
        assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        for part in ["CTID", "101", "running", "suspended", "3 GiB", "10.1.0.101"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn color_only_when_it_is_on() {
        let on = Paint::choose(super::super::ColorChoice::Always, false, None);
        assert!(inventory(&containers(), on, 80).contains('\u{1b}'));
        assert!(!inventory(&containers(), Paint::off(), 80).contains('\u{1b}'));
    }

    #[test]
    fn any_table() {
        let text = simple(&["A", "B"], &[vec!["1".into(), "x\ny".into()]], Paint::off(), 80);
        assert_eq!(text, "A  B\n1  x\\ny\n");
    }
}
