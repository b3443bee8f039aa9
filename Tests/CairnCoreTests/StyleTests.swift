// Part of Cairn, a content-addressed blob store.
import Foundation
import Testing

/// Rules of style that a machine can check, over all sources, tools, tests and pages.
@Suite struct StyleTests {
    private static let header = "// Part of Cairn, a content-addressed blob store."
    private static let fileLineCountMax = 600
    private static let functionLineCountMax = 70
    private static let lineColumnCountMax = 100

    // MARK: The rules, on the package

    @Test func `each file begins with the line that says what it is part of`() throws {
        for file in try SourceFile.all(withSuffixes: [".swift", ".c", ".h"]) {
            #expect(file.lines.first == Self.header, "\(file.path): first line")
        }
    }

    @Test func `no file, function or line exceeds its limit`() throws {
        for file in try SourceFile.all(withSuffixes: [".swift", ".c", ".h"]) {
            for finding in Self.lengthFindings(file) {
                Issue.record("\(finding)")
            }
        }
    }

    @Test(arguments: Ban.all)
    func `no banned construct appears in sources and tools`(_ ban: Ban) throws {
        for file in try SourceFile.all(withSuffixes: [".swift"]) where !file.isTest {
            for finding in ban.findings(in: file) {
                Issue.record("\(finding)")
            }
        }
    }

    @Test func `each module imports only from the layers below it`() throws {
        for file in try SourceFile.all(withSuffixes: [".swift"]) where !file.isTest {
            for finding in Layer.findings(in: file) {
                Issue.record("\(finding)")
            }
        }
    }

    @Test func `the table of layers points down only`() {
        for (index, layer) in Layer.table.enumerated() {
            let below = Set(Layer.table[..<index].map(\.module))
            #expect(layer.imports.isSubset(of: below), "\(layer.module)")
        }
    }

    @Test func `each page has a title`() throws {
        let pages = try SourceFile.all(withSuffixes: [".md"])
        for page in pages where page.path.contains(".docc/") {
            let title = page.lines.first ?? ""
            #expect(title.hasPrefix("# ") && title.count > 2, "\(page.path): first line")
        }
    }

    // MARK: The rules, on examples

    @Test(arguments: [
        ("let a = try! b()", "try!"),
        ("    fatalError(\"no\")", "fatalError("),
        ("let a = b as! C", "as!"),
        ("// TODO make this faster", "TODO"),
        ("// TODO: when there is time, perhaps", "TODO"),
    ])
    func `a banned construct is found`(_ line: String, _ construct: String) throws {
        let ban = try #require(Ban.all.first { $0.construct == construct })
        #expect(ban.findings(in: SourceFile(path: "Sources/A/B.swift", text: line)).count == 1)
    }

    @Test(arguments: [
        "let a = try b()", "// Better than try! or as! or fatalError(", "let a = b as? C",
        "// TODO when Swift has move-only arrays: drop the copy.",
        "// TODO until the format changes: keep the old name.",
    ])
    func `what is allowed is not found`(_ line: String) {
        let file = SourceFile(path: "Sources/A/B.swift", text: line)
        #expect(Ban.all.allSatisfy { $0.findings(in: file).isEmpty })
    }

    @Test(arguments: [
        ("Sources/CairnCore/A.swift", "import CairnKeys"),
        ("Sources/CairnCore/A.swift", "public import Foundation"),
        ("Sources/CairnKeys/A.swift", "internal import struct CairnIndex.Table"),
        ("Sources/CairnKeys/A.swift", "internal import COpenSSL"),
        ("Sources/Cairn/A.swift", "@preconcurrency import Logging"),
        ("Sources/CairnServer/A.swift", "internal import CairnSegments"),
        ("Sources/CairnNew/A.swift", "import CairnCore"),
    ])
    func `an import that points up or out is found`(_ path: String, _ line: String) {
        #expect(Layer.findings(in: SourceFile(path: path, text: line)).count == 1)
    }

    @Test func `lengths are counted to the end`() {
        func lines(_ count: Int) -> String { String(repeating: "        a()\n", count: count) }
        let body = lines(Self.functionLineCountMax - 2) + "    }\n"
        let longBody = lines(Self.functionLineCountMax - 1) + "    }\n"
        let line = String(repeating: "a", count: Self.lineColumnCountMax)
        for (text, count) in [
            ("    func a() {\n" + body, 0), ("    func a() {\n" + longBody, 1),
            ("    func a(\n        b: Int\n    ) throws {\n" + longBody, 1),
            // Neither a requirement of a protocol nor a body in one line goes on below.
            ("    func a()\n\n" + longBody, 0), ("    init(_ a: Int) { b = a }\n" + longBody, 0),
            (line, 0), (line + "a", 1),
            (lines(Self.fileLineCountMax), 0), (lines(Self.fileLineCountMax) + "a", 1),
        ] {
            let file = SourceFile(path: "Sources/A/B.swift", text: text)
            #expect(Self.lengthFindings(file).count == count)
        }
    }

    // MARK: -

    private static func lengthFindings(_ file: SourceFile) -> [String] {
        var findings: [String] = []
        if file.lines.count > fileLineCountMax {
            findings.append(
                "\(file.path) has \(file.lines.count) lines: look for its second concept")
        }
        for (index, line) in file.lines.enumerated() where line.count > lineColumnCountMax {
            findings.append("\(file.path):\(index + 1) has \(line.count) columns: break it")
        }
        guard !file.isTest, file.path.hasSuffix(".swift") else { return findings }
        for function in file.functions where function.count > functionLineCountMax {
            findings.append(
                "\(file.path):\(function.lowerBound + 1) begins a function of \(function.count) "
                    + "lines: name its parts")
        }
        return findings
    }
}

/// A construct that may not appear, and what to write in its place.
struct Ban: Sendable, CustomStringConvertible {
    let construct: String
    let replacement: String
    /// Whether it is banned from comments, not from code.
    var isInComments = false

    static let all = [
        Ban(construct: "try!", replacement: "`try`, and let the caller know"),
        Ban(construct: "fatalError(", replacement: "throw for bad data, `assert` for bad code"),
        Ban(construct: "as!", replacement: "`as?` with an error, or a generic type"),
        Ban(
            construct: "TODO", replacement: "`TODO when ...:` or `TODO until ...:`",
            isInComments: true),
    ]

    var description: String { construct }

    func findings(in file: SourceFile) -> [String] {
        file.lines.enumerated().filter { isFound(in: $0.element) }.map {
            "\(file.path):\($0.offset + 1) has \(construct); write \(replacement)"
        }
    }

    private func isFound(in line: String) -> Bool {
        guard !isInComments else {
            return line.contains(construct)
                && !line.contains(#/TODO (when|until) [^:]+:/#)
        }
        // A comment may speak of what is banned.
        let code = line.range(of: "//").map { line[..<$0.lowerBound] } ?? line[...]
        return code.contains(construct)
    }
}

/// A module and what it may import.
struct Layer: Sendable {
    let module: String
    let imports: Set<String>
    /// `nil` for modules on top of the public interface, which choose their own.
    let systemModules: Set<String>?

    private static let standard: Set<String> = ["Glibc", "Synchronization"]
    private static let store: Set<String> = [
        "Cairn", "CairnCore", "CairnIndex", "CairnKeys", "CairnSegments",
    ]

    /// From the bottom up.
    static let table: [Layer] = [
        Layer(module: "COpenSSL", imports: [], systemModules: []),
        Layer(module: "CLZ4", imports: [], systemModules: []),
        Layer(module: "CRocksDB", imports: [], systemModules: []),
        Layer(module: "CPKCS11", imports: [], systemModules: []),
        Layer(module: "CairnKernels", imports: [], systemModules: []),
        Layer(
            module: "CairnCore", imports: ["CLZ4", "COpenSSL", "CairnKernels"],
            systemModules: standard),
        Layer(module: "CairnSegments", imports: ["CairnCore"], systemModules: standard),
        Layer(module: "CairnIndex", imports: ["CRocksDB", "CairnCore"], systemModules: standard),
        Layer(module: "CairnKeys", imports: ["CairnCore"], systemModules: standard),
        Layer(
            module: "CairnPKCS11", imports: ["CPKCS11", "CairnCore", "CairnKeys"],
            systemModules: standard),
        Layer(
            module: "Cairn", imports: store.subtracting(["Cairn"]),
            systemModules: standard.union(["CoreMetrics"])),
        Layer(module: "CairnRegistry", imports: ["Cairn", "CairnCore"], systemModules: nil),
        Layer(
            module: "CairnServer", imports: ["Cairn", "CairnCore", "CairnKeys", "CairnRegistry"],
            systemModules: nil),
        Layer(module: "CairnTesting", imports: store, systemModules: nil),
        Layer(module: "CairnDriver", imports: ["Cairn", "CairnCore"], systemModules: nil),
        Layer(module: "CairnExamples", imports: ["Cairn", "CairnCore"], systemModules: nil),
        Layer(module: "tiny-registry", imports: ["Cairn", "CairnExamples"], systemModules: nil),
        Layer(
            module: "cairn",
            imports: ["Cairn", "CairnCore", "CairnKeys", "CairnRegistry", "CairnServer"],
            systemModules: nil),
    ]

    static func findings(in file: SourceFile) -> [String] {
        guard let layer = table.first(where: { $0.module == file.module }) else {
            return ["\(file.path): \(file.module) is not in the table of layers"]
        }
        return file.imports.filter { !layer.allows($0) }.map {
            "\(file.path): \(layer.module) may not import \($0), only "
                + (layer.imports.union(layer.systemModules ?? []).sorted().joined(separator: ", "))
        }
    }

    private func allows(_ imported: String) -> Bool {
        guard !imports.contains(imported) else { return true }
        let isOurs = Self.table.contains { $0.module == imported }
        return !isOurs && systemModules?.contains(imported) ?? true
    }
}

/// A file of the package, read once.
struct SourceFile: Sendable {
    /// Relative to the root of the package.
    let path: String
    let lines: [String]

    init(path: String, text: String) {
        self.path = path
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        // The newline at the end begins no line.
        if lines.last == "" { lines.removeLast() }
        self.lines = lines
    }

    var isTest: Bool { path.hasPrefix("Tests/") }

    /// The folder below `Sources` or `Tools`.
    var module: String {
        let parts = path.split(separator: "/")
        return parts.count > 2 ? String(parts[1]) : ""
    }

    /// The modules that the file imports.
    var imports: [String] {
        let beginning = #/^(@[\w()]+ )*((public|package|internal|fileprivate|private) )?import /#
        return lines.compactMap { line in
            guard line.contains("import "), let match = line.firstMatch(of: beginning) else {
                return nil
            }
            let words = line[match.range.upperBound...].split(separator: " ")
            // `import struct Module.Type` names a kind first.
            let hasKind = words.count > 1 && !words[1].hasPrefix("//")
            return words[hasKind ? 1 : 0].split(separator: ".").first.map(String.init)
        }
    }

    /// The lines of each function with a body of its own lines; it ends where its indentation
    /// ends, as the formatter has it.
    var functions: [Range<Int>] {
        lines.indices.compactMap { start in
            let line = lines[start]
            // Cheap questions before the pattern, which takes long.
            guard line.contains("func ") || line.contains("init"), !line.contains("//"),
                line.contains(#/^ *(\S+ )*(func |init[(<?]|deinit )/#), hasBody(start),
                let end = lines[start...].firstIndex(of: line.prefix { $0 == " " } + "}")
            else { return nil }
            return start..<end + 1
        }
    }

    /// Whether the signature that begins in a line ends with an open brace; one in a protocol
    /// does not.
    private func hasBody(_ start: Int) -> Bool {
        let indentation = lines[start].prefix { $0 == " " }
        for (index, line) in lines[start...].enumerated() {
            let isSignature =
                index == 0 || line.hasPrefix(indentation + " ") || line.hasPrefix(indentation + ")")
                || line.hasPrefix(indentation + "where ") || line == indentation + "{"
            guard isSignature, !line.isEmpty else { return false }
            if line.hasSuffix("{") { return true }
            // A whole body in one line.
            if line.contains("{") { return false }
        }
        return false
    }

    /// All files of the package's sources, tools and tests.
    static func all(withSuffixes suffixes: [String]) throws -> [SourceFile] {
        // Tests/CairnCoreTests/StyleTests.swift
        let root = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        var files: [SourceFile] = []
        for folder in ["Sources", "Tools", "Tests"] {
            // Hidden folders hold what was built.
            let walk = FileManager.default.enumerator(
                at: root.appending(path: folder), includingPropertiesForKeys: nil,
                options: .skipsHiddenFiles)
            while let url = walk?.nextObject() as? URL {
                guard suffixes.contains(where: url.path.hasSuffix) else { continue }
                let path = String(url.path.dropFirst(root.path.count).drop { $0 == "/" })
                files.append(
                    SourceFile(path: path, text: try String(contentsOf: url, encoding: .utf8)))
            }
        }
        try #require(!files.isEmpty)
        return files
    }
}
