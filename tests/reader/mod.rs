//! Reads just enough Rust for `tests/layers.rs`: which paths a source file names, and where.

/// One path a file names, relative to the crate (`["wire", "link", "MemberId"]`), or as written.
pub struct Path {
    pub segments: Vec<String>,
    pub line: usize,
}

impl Path {
    pub fn text(&self) -> String {
        self.segments.join("::")
    }

    /// Whether the path begins with the segments of `prefix` (`std::fs`).
    pub fn starts_with(&self, prefix: &str) -> bool {
        let mut own = self.segments.iter();
        prefix.split("::").all(|p| own.next().is_some_and(|s| s == p))
    }
}

/// One source file, its code outside `#[cfg(test)]` as tokens.
pub struct Source {
    /// Path from the package root.
    pub file: String,
    /// Path of the module from the crate root, with slashes (`media/codec/h264`).
    pub module: String,
    /// Modules this file declares under `#[cfg(test)]` with files of their own.
    pub test_modules: Vec<String>,
    tokens: Vec<Token>,
    lines_before_tests: usize,
}

#[derive(Clone)]
struct Token {
    text: String,
    line: usize,
}

impl Source {
    pub fn new(file: &str, text: &str) -> Self {
        let module = file.trim_start_matches("src/").trim_end_matches(".rs");
        let module = module.strip_suffix("/mod").unwrap_or(module).to_string();
        let lines_before_tests =
            text.lines().take_while(|l| !l.trim_start().starts_with("#[cfg(test)]")).count();
        let (tokens, test_modules) = without_tests(tokens(text));
        let test_modules = test_modules.iter().map(|name| format!("{module}/{name}")).collect();
        Self { file: file.to_string(), module, test_modules, tokens, lines_before_tests }
    }

    pub fn lines_before_tests(&self) -> usize {
        self.lines_before_tests
    }

    /// Every path that lies in this crate, resolved to the crate root.
    pub fn paths(&self) -> Vec<Path> {
        let children = self.children();
        let mut found = Vec::new();
        self.walk(|first, at, inside| {
            let mut base: Vec<String> = self.module.split('/').map(String::from).collect();
            if self.file == "src/main.rs" {
                base.clear();
            }
            base.extend(inside.iter().cloned());
            match first {
                "crate" => self.tree(at + 1, Vec::new(), &mut found),
                "facetty" if self.file == "src/main.rs" || !self.file.starts_with("src/") => {
                    self.tree(at + 1, Vec::new(), &mut found);
                }
                "self" => self.tree(at + 1, base, &mut found),
                "super" => {
                    let mut at = at;
                    while self.text(at) == "super" {
                        base.pop();
                        at += 2;
                    }
                    self.tree(at - 1, base, &mut found);
                }
                child if children.iter().any(|c| c == child) && inside.is_empty() => {
                    base.push(child.to_string());
                    self.tree(at + 1, base, &mut found);
                }
                _ => {}
            }
        });
        found
    }

    /// Every path as it is written (for other crates' names).
    pub fn named(&self) -> Vec<Path> {
        let mut found = Vec::new();
        self.walk(|first, at, _| self.tree(at + 1, vec![first.to_string()], &mut found));
        found
    }

    /// Lines calling `Type::function`, as a path or as a method.
    pub fn calls(&self, what: &str) -> Vec<usize> {
        let (kind, function) = what.split_once("::").expect("Type::function");
        let hit = |i: usize| {
            self.text(i) == function
                && i >= 1
                && (self.text(i - 1) == "." || (i >= 2 && self.text(i - 2) == kind))
                // `receipt.shown` may be a field or another type's method: only the path counts
                // for constructors.
                && (self.text(i - 1) == "::" || function != "shown")
        };
        (0..self.tokens.len()).filter(|&i| hit(i)).map(|i| self.tokens[i].line).collect()
    }

    /// Lines with one of these words.
    pub fn words(&self, words: &[&str]) -> Vec<usize> {
        self.tokens.iter().filter(|t| words.contains(&t.text.as_str())).map(|t| t.line).collect()
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |t| t.text.as_str())
    }

    /// Modules declared at the top of this file.
    fn children(&self) -> Vec<String> {
        let mut names = Vec::new();
        for i in 0..self.tokens.len() {
            if self.text(i) == "mod" && self.text(i + 2) == ";" {
                names.push(self.text(i + 1).to_string());
            }
        }
        names
    }

    /// Calls `visit(first segment, its index, inline modules around it)` for each path.
    fn walk(&self, mut visit: impl FnMut(&str, usize, &[String])) {
        let mut inside: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        for i in 0..self.tokens.len() {
            match self.text(i) {
                "{" => {
                    depth += 1;
                    if i >= 2 && self.text(i - 2) == "mod" {
                        inside.push((self.text(i - 1).to_string(), depth));
                    }
                }
                "}" => {
                    inside.retain(|(_, d)| *d != depth);
                    depth = usize::saturating_sub(depth, 1);
                }
                first if self.text(i + 1) == "::" && (i == 0 || self.text(i - 1) != "::") => {
                    let names: Vec<String> = inside.iter().map(|(n, _)| n.clone()).collect();
                    visit(first, i, &names);
                }
                _ => {}
            }
        }
    }

    /// Reads the rest of a use tree; `at` stands on `::`. Returns where it ends.
    fn tree(&self, at: usize, mut base: Vec<String>, found: &mut Vec<Path>) {
        self.tree_from(at, &mut base, found);
    }

    fn tree_from(&self, mut at: usize, base: &mut Vec<String>, found: &mut Vec<Path>) -> usize {
        let line = self.tokens.get(at).map_or(0, |t| t.line);
        while self.text(at) == "::" {
            let next = self.text(at + 1);
            if next == "{" {
                let mut i = at + 2;
                while !self.text(i).is_empty() && self.text(i) != "}" {
                    if self.text(i) == "," {
                        i += 1;
                        continue;
                    }
                    let mut inner = base.clone();
                    if self.text(i) != "self" {
                        inner.push(self.text(i).to_string());
                    }
                    let start = i;
                    i = self.tree_from(i + 1, &mut inner, found).max(start + 1);
                    while !matches!(self.text(i), "," | "}" | "") {
                        i += 1; // `as name`
                    }
                }
                return i + 1;
            }
            if !next.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '*') {
                break;
            }
            base.push(next.to_string());
            at += 2;
        }
        found.push(Path { segments: base.clone(), line });
        at
    }
}

/// Drops each item marked `#[cfg(test)]`; also returns the modules among them that are files.
fn without_tests(tokens: Vec<Token>) -> (Vec<Token>, Vec<String>) {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut files = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let marked =
            mark.iter().enumerate().all(|(k, m)| tokens.get(i + k).is_some_and(|t| t.text == *m));
        if !marked {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        i += mark.len();
        let mut depth = 0usize;
        while i < tokens.len() {
            match tokens[i].text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && tokens[i].text == "}" {
                        i += 1;
                        break;
                    }
                }
                ";" if depth == 0 => {
                    if tokens[i - 2].text == "mod" {
                        files.push(tokens[i - 1].text.clone());
                    }
                    i += 1;
                    break;
                }
                _ => {}
            }
            i += 1;
        }
    }
    (kept, files)
}

/// Words, `::` and single marks; comments, strings, characters and lifetimes are dropped.
fn tokens(text: &str) -> Vec<Token> {
    let c: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let (mut i, mut line) = (0, 1);
    let at = |i: usize| c.get(i).copied().unwrap_or('\0');
    while i < c.len() {
        match c[i] {
            '\n' => {
                line += 1;
                i += 1;
            }
            '/' if at(i + 1) == '/' => {
                while i < c.len() && c[i] != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    if at(i) == '/' && at(i + 1) == '*' {
                        depth += 1;
                        i += 2;
                    } else if at(i) == '*' && at(i + 1) == '/' {
                        depth -= 1;
                        i += 2;
                    } else {
                        line += usize::from(at(i) == '\n');
                        i += 1;
                    }
                    if depth == 0 || i >= c.len() {
                        break;
                    }
                }
            }
            'r' | 'b' if raw_string(&c, i).is_some() => {
                let (start, hashes) = raw_string(&c, i).expect("checked");
                i = start;
                while i < c.len() {
                    line += usize::from(c[i] == '\n');
                    let closes = c[i] == '"' && (1..=hashes).all(|k| at(i + k) == '#');
                    i += 1;
                    if closes {
                        i += hashes;
                        break;
                    }
                }
            }
            '"' => {
                i += 1;
                while i < c.len() && c[i] != '"' {
                    if c[i] == '\\' {
                        i += 1;
                    }
                    line += usize::from(at(i) == '\n');
                    i += 1;
                }
                i += 1;
            }
            '\'' => {
                let literal = at(i + 1) == '\\' || at(i + 2) == '\'';
                i += 1;
                if literal {
                    if at(i) == '\\' {
                        i += 1;
                    }
                    i += 1;
                    while i < c.len() && c[i] != '\'' {
                        i += 1;
                    }
                    i += 1;
                } else {
                    while at(i).is_alphanumeric() || at(i) == '_' {
                        i += 1;
                    }
                }
            }
            ':' if at(i + 1) == ':' => {
                out.push(Token { text: "::".into(), line });
                i += 2;
            }
            w if w.is_alphanumeric() || w == '_' => {
                let start = i;
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
                out.push(Token { text: c[start..i].iter().collect(), line });
            }
            w if w.is_whitespace() => i += 1,
            mark => {
                out.push(Token { text: mark.to_string(), line });
                i += 1;
            }
        }
    }
    out
}

/// `r"`, `r#"`, `br"` … at `i`: where the text starts, and how many `#`.
fn raw_string(c: &[char], i: usize) -> Option<(usize, usize)> {
    if i > 0 && (c[i - 1].is_alphanumeric() || c[i - 1] == '_') {
        return None;
    }
    let mut k = i;
    if c.get(k) == Some(&'b') {
        k += 1;
    }
    if c.get(k) != Some(&'r') {
        return None;
    }
    k += 1;
    let start = k;
    while c.get(k) == Some(&'#') {
        k += 1;
    }
    (c.get(k) == Some(&'"')).then(|| (k + 1, k - start))
}
