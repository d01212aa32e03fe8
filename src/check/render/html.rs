//! The report as one page that needs nothing else: no script, no font, no picture.

use super::{guest, status, visible};
use crate::check::report::{ContainerReport, Report};
use crate::model::finding::Finding;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c1c1c}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin:2rem 0 .2rem}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid #ddd}\
.tag{display:inline-block;padding:0 .5rem;border-radius:.6rem;font-size:.85rem;white-space:nowrap;background:#ddd}\
.blocked,.blocker{background:#f6c6c6}.overridable{background:#f9d9b0}.warnings,.warning{background:#f7ecb0}\
.ready{background:#c9e8c9}.facts{color:#555;margin:0 0 .5rem}.remedy{color:#1a5c1a}code{font-size:.9em;word-break:break-all}";

/// Renders the report as an HTML page. Every text in it is escaped.
pub fn render_html(report: &Report) -> String {
    let route = format!("{} \u{2192} {}", escape(&report.source), escape(&report.target));
    let s = report.summary;
    let mut rows = String::new();
    let mut sections = String::new();
    for container in &report.containers {
        rows.push_str(&row(container));
        sections.push_str(&section(container));
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Migration check: {route}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Migration check: {route}</h1>\n\
         <p><span class=\"tag ready\">{} ready</span> <span class=\"tag warnings\">{} with warnings</span> \
         <span class=\"tag blocked\">{} blocked</span></p>\n\
         <table>\n<thead><tr><th>Container</th><th>Name</th><th>Status</th><th>Guest</th><th>Size</th><th>Inodes</th>\
         <th>Verdict</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n{sections}</body>\n</html>\n",
        s.ready, s.warnings, s.blocked
    )
}

fn row(container: &ContainerReport) -> String {
    let ctid = escape(container.ctid.as_str());
    let verdict = container.verdict.name();
    format!(
        "<tr><td><a href=\"#ct-{ctid}\">{ctid}</a></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td><span class=\"tag {verdict}\">{verdict}</span></td></tr>\n",
        escape(&names(container)),
        status(container),
        escape(&guest(container)),
        container.size_bytes,
        container.inodes,
    )
}

fn section(container: &ContainerReport) -> String {
    let ctid = escape(container.ctid.as_str());
    let verdict = container.verdict.name();
    let mut out = format!(
        "<h2 id=\"ct-{ctid}\">{ctid} {} <span class=\"tag {verdict}\">{verdict}</span></h2>\n",
        escape(&names(container))
    );
    if let Some(name) = &container.target_name {
        out.push_str(&format!("<p class=\"facts\">becomes <code>{}</code></p>\n", escape(name)));
    }
    if container.findings.is_empty() {
        out.push_str("<p>Nothing found.</p>\n");
        return out;
    }
    out.push_str("<table>\n<tbody>\n");
    for finding in &container.findings {
        out.push_str(&finding_row(finding));
    }
    out.push_str("</tbody>\n</table>\n");
    out
}

fn finding_row(finding: &Finding) -> String {
    let word = finding.severity.word();
    let optional = |class: &str, text: &str| {
        if text.is_empty() { String::new() } else { format!("<div class=\"{class}\">{}</div>", escape(text)) }
    };
    let subject =
        if finding.subject.is_empty() { String::new() } else { format!(" <code>{}</code>", escape(&finding.subject)) };
    format!(
        "<tr><td><span class=\"tag {word}\">{word}</span></td><td><strong>{}</strong>{subject}{}{}</td>\
         <td><code>{}</code></td></tr>\n",
        escape(&finding.title),
        optional("detail", &finding.detail),
        optional("remedy", &finding.remedy),
        escape(&finding.id),
    )
}

fn names(container: &ContainerReport) -> String {
    let names = [container.name.as_deref(), container.hostname.as_deref()];
    names.into_iter().flatten().collect::<Vec<&str>>().join(" / ")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
