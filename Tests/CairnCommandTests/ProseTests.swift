// Part of Cairn, a content-addressed blob store.
import Foundation
import Testing

@testable import cairn

@Suite struct `Guides and the program agree` {
    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private func text(_ path: String) throws -> String {
        try String(contentsOf: Self.root.appendingPathComponent(path), encoding: .utf8)
    }

    @Test func `the embedding example is short and the guide quotes it`() throws {
        let example = try text("Tests/EmbeddingExample/main.swift")
        let lines = example.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count < 30)
        // The guide leaves out the first line, which says what project the file belongs to.
        let quoted = lines.dropFirst().joined(separator: "\n")
        #expect(try text("Sources/Cairn/Cairn.docc/Guides/Embedding.md").contains(quoted))
    }

    @Test func `the guide to the command line has the exit codes of the help`() throws {
        let guide = try text("Sources/Cairn/Cairn.docc/Guides/CommandLine.md")
        for line in Failure.exitCodeTable.split(separator: "\n").dropFirst() {
            let parts = line.split(separator: " ", maxSplits: 1)
            let meaning = parts[1].trimmingCharacters(in: .whitespaces)
            #expect(guide.contains("| \(parts[0]) | \(meaning) |"))
        }
    }

    @Test func `the front page is short and names the two commands`() throws {
        let page = try text("README.md")
        #expect(page.split(separator: "\n", omittingEmptySubsequences: false).count <= 150)
        #expect(page.contains("Tools/serve") && page.contains("Tools/test"))
    }
}
