// Part of Cairn, a content-addressed blob store.

import CairnTestSupport
import Foundation

/// What clients and their store did, in order.
///
/// As text, one step a line, a history can be kept and run again.
struct History: Sendable, CustomStringConvertible {
    /// Something that happens.
    enum Step: Sendable, Hashable {
        case put(client: Int, blob: Int)
        case delete(client: Int, blob: Int)
        case read(client: Int, blob: Int)
        case mount(client: Int, blob: Int, from: Int)
        case begin(client: Int, blob: Int)
        case append(client: Int, byteCount: Int)
        case suspend(client: Int)
        case resume(client: Int)
        case commit(client: Int)
        case cancel(client: Int)
        case sweep, compact, scrub
        case wait(hours: Int)
        case reopen
        case cut(seed: Int)
        case repair
        /// The index cannot make commits durable, or cannot commit either, for want of space.
        case full(isCommitting: Bool)
        case room
    }

    var steps: [Step]

    init(_ steps: [Step]) { self.steps = steps }

    // MARK: - By chance

    static let clientCount = 3
    static let blobCount = 8

    /// So many steps as a seed decides, ending with room on the disk.
    static func random(seed: UInt64, count: Int) -> History {
        var generator = SeededGenerator(seed: seed)
        var steps: [Step] = []
        for _ in 0..<count { steps.append(step(&generator)) }
        return History(steps + [.room])
    }

    private static func step(_ generator: inout SeededGenerator) -> Step {
        func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &generator) }
        let (client, blob) = (number(0..<clientCount), number(0..<blobCount))
        switch number(0..<100) {
        case ..<16: return .put(client: client, blob: blob)
        case ..<28: return .delete(client: client, blob: blob)
        case ..<32: return .read(client: client, blob: blob)
        case ..<40: return .mount(client: client, blob: blob, from: number(0..<clientCount))
        case ..<48: return .begin(client: client, blob: blob)
        case ..<56: return .append(client: client, byteCount: number(0..<700_000))
        case ..<61: return .suspend(client: client)
        case ..<67: return .resume(client: client)
        case ..<72: return .commit(client: client)
        case ..<74: return .cancel(client: client)
        case ..<79: return .sweep
        case ..<83: return .compact
        case ..<85: return .scrub
        case ..<87: return .wait(hours: number(1..<30))
        case ..<89: return .reopen
        case ..<93: return .cut(seed: number(0..<1_000_000))
        case ..<94: return .repair
        case ..<96: return .full(isCommitting: number(0..<2) == 0)
        default: return .room
        }
    }

    // MARK: - As text

    var description: String { steps.map(Self.line).joined(separator: "\n") }

    /// Reads what ``description`` has written; `#` begins a comment.
    init?(text: String) {
        steps = []
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            guard let step = Self.step(line) else { return nil }
            steps.append(step)
        }
    }

    private static func line(_ step: Step) -> String {
        switch step {
        case .put(let client, let blob): "put \(client) \(blob)"
        case .delete(let client, let blob): "delete \(client) \(blob)"
        case .read(let client, let blob): "read \(client) \(blob)"
        case .mount(let client, let blob, let from): "mount \(client) \(blob) \(from)"
        case .begin(let client, let blob): "begin \(client) \(blob)"
        case .append(let client, let byteCount): "append \(client) \(byteCount)"
        case .suspend(let client): "suspend \(client)"
        case .resume(let client): "resume \(client)"
        case .commit(let client): "commit \(client)"
        case .cancel(let client): "cancel \(client)"
        case .sweep: "sweep"
        case .compact: "compact"
        case .scrub: "scrub"
        case .wait(let hours): "wait \(hours)"
        case .reopen: "reopen"
        case .cut(let seed): "cut \(seed)"
        case .repair: "repair"
        case .full(let isCommitting): "full \(isCommitting ? 1 : 0)"
        case .room: "room"
        }
    }

    private static func step(_ line: some StringProtocol) -> Step? {
        let words = line.split(separator: " ")
        let numbers = words.dropFirst().compactMap { Int($0) }
        switch (words.first.map { String($0) }, numbers.count) {
        case ("put", 2): return .put(client: numbers[0], blob: numbers[1])
        case ("delete", 2): return .delete(client: numbers[0], blob: numbers[1])
        case ("read", 2): return .read(client: numbers[0], blob: numbers[1])
        case ("mount", 3): return .mount(client: numbers[0], blob: numbers[1], from: numbers[2])
        case ("begin", 2): return .begin(client: numbers[0], blob: numbers[1])
        case ("append", 2): return .append(client: numbers[0], byteCount: numbers[1])
        case ("suspend", 1): return .suspend(client: numbers[0])
        case ("resume", 1): return .resume(client: numbers[0])
        case ("commit", 1): return .commit(client: numbers[0])
        case ("cancel", 1): return .cancel(client: numbers[0])
        case ("sweep", 0): return .sweep
        case ("compact", 0): return .compact
        case ("scrub", 0): return .scrub
        case ("wait", 1): return .wait(hours: numbers[0])
        case ("reopen", 0): return .reopen
        case ("cut", 1): return .cut(seed: numbers[0])
        case ("repair", 0): return .repair
        case ("full", 1): return .full(isCommitting: numbers[0] == 1)
        case ("room", 0): return .room
        default: return nil
        }
    }

    // MARK: - Made smaller

    /// The fewest of these steps that still fail: no further one can be left out.
    ///
    /// Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002), without
    /// its subsets: only complements are tried, of halves first, then of ever smaller parts.
    func shrunk(while fails: (History) async throws -> Bool) async rethrows -> History {
        var steps = steps
        var count = max(1, steps.count / 2)
        while true {
            var start = 0
            var isSmaller = false
            while start < steps.count {
                var fewer = steps
                fewer.removeSubrange(start..<min(start + count, steps.count))
                if try await fails(History(fewer)) {
                    steps = fewer
                    isSmaller = true
                } else {
                    start += count
                }
            }
            guard !isSmaller || steps.isEmpty else { continue }
            guard count > 1 else { return History(steps) }
            count = max(1, count / 2)
        }
    }
}
