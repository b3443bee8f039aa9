// Part of Cairn, a content-addressed blob store.

import Foundation
import Testing

/// Long random histories, step by step, so that what fails can be made small and run again.
///
/// What happens inside a step and between clients at once is for the model test, the races and the
/// crash states.
@Suite struct StoreHistoryTests {
    private static let directory = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "Histories")
    private static let kept: [URL] = {
        let found = try? FileManager.default.contentsOfDirectory(
            at: directory, includingPropertiesForKeys: nil)
        return (found ?? []).sorted { $0.path < $1.path }
    }()

    @Test(.timeLimit(.minutes(isLong ? 120 : 10)), arguments: 1...(isLong ? 2000 : 40))
    func `no history breaks a promise`(seed: UInt64) async throws {
        let history = History.random(seed: seed, count: 80)
        guard let fault = try await HistoryWorld.fault(in: history) else { return }
        var last = fault
        let small = try await history.shrunk { history in
            guard let fault = try await HistoryWorld.fault(in: history) else { return false }
            last = fault
            return true
        }
        Issue.record(
            """
            seed \(seed): \(fault)
            made smaller: \(last)
            keep this in \(Self.directory.path):
            \(small)
            """)
    }

    @Test func `no kept history breaks a promise`() async throws {
        #expect(Self.kept.count >= 3)
        for file in Self.kept {
            let history = try #require(History(text: String(contentsOf: file, encoding: .utf8)))
            #expect(!history.steps.isEmpty)
            let fault = try await HistoryWorld.fault(in: history)
            #expect(fault == nil, "\(file.path)")
        }
    }

    @Test func `a history can be kept as text`() throws {
        let history = History.random(seed: 1, count: 2000)
        let again = try #require(History(text: "# a comment\n\(history)\n"))
        #expect(again.steps == history.steps)
        let lines = history.description.split(separator: "\n")
        #expect(Set(lines.map { $0.prefix { $0 != " " } }).count == 19)
        #expect(History(text: "put 1") == nil)
        #expect(History(text: "explode") == nil)
    }

    @Test func `shrinking leaves only what matters`() async throws {
        let history = History.random(seed: 2, count: 500)
        let (first, second) = (history.steps[123], history.steps[400])
        let small = await history.shrunk { history in
            guard let start = history.steps.firstIndex(of: first) else { return false }
            return history.steps[start...].contains(second)
        }
        #expect(small.steps == [first, second])
    }
}
