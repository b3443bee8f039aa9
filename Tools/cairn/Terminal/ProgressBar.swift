// Part of Cairn, a content-addressed blob store.
internal import Synchronization

/// One line on a terminal that shows how far long work has come.
///
/// Draws on standard error, and only when that is a terminal. Thread-safety: calls may come from
/// any thread; drawing is rare (see ``redrawInterval``), so it is done by the caller.
final class ProgressBar: Sendable {
    /// The shortest time between two drawings: fluent to the eye, invisible in the run time.
    static let redrawInterval = Duration.milliseconds(100)

    private struct State {
        var line: ProgressLine
        var drawnAt: ContinuousClock.Instant?
        var isOpenEnded = false
        // Of the files that are being stored at the same time, by number.
        var duplicates: [Int: UInt64] = [:]
    }

    private let state: Mutex<State>
    private let startedAt = ContinuousClock.now
    private let isEnabled: Bool

    /// Makes a progress bar.
    ///
    /// - Parameters:
    ///   - label: what is being worked on.
    ///   - totalByteCount: the bytes to come, `nil` when that is not known.
    ///   - isWanted: whether the user did not decline it.
    init(_ label: String, totalByteCount: UInt64?, isWanted: Bool) {
        state = Mutex(State(line: ProgressLine(label: label, totalByteCount: totalByteCount)))
        isEnabled = isWanted && Descriptor.standardError.isTerminal
    }

    /// Counts bytes that are done.
    func add(_ byteCount: Int) {
        update { $0.byteCount += UInt64(byteCount) }
    }

    /// Notes how many bytes of one of several files were stored already.
    func setDuplicates(_ byteCount: UInt64, of number: Int) {
        let sum = state.withLock { state in
            state.duplicates[number] = byteCount
            return state.duplicates.values.reduce(0, +)
        }
        guard sum > 0 else { return }
        update { $0.note = "\(Quantity.bytes(sum)) duplicate" }
    }

    /// Adds bytes to come; `nil` for an unknown number, which makes the sum unknown for good.
    func expect(_ byteCount: UInt64?) {
        state.withLock { state in
            guard let byteCount, !state.isOpenEnded else {
                state.isOpenEnded = true
                state.line.totalByteCount = nil
                return
            }
            state.line.totalByteCount = (state.line.totalByteCount ?? 0) + byteCount
        }
    }

    /// Changes what is shown and draws it, unless that was just done.
    func update(_ change: (inout ProgressLine) -> Void) {
        guard isEnabled else { return }
        let now = ContinuousClock.now
        let text: String? = state.withLock { state in
            change(&state.line)
            if let drawnAt = state.drawnAt, now - drawnAt < Self.redrawInterval { return nil }
            state.drawnAt = now
            return state.line.text(
                after: now - startedAt, columnCount: Descriptor.standardError.columnCount)
        }
        if let text { draw(text) }
    }

    /// Takes the line away, so that results follow on an empty one.
    func clear() {
        guard isEnabled else { return }
        let wasDrawn = state.withLock { state in
            defer { state.drawnAt = nil }
            return state.drawnAt != nil
        }
        if wasDrawn { draw("") }
    }

    private func draw(_ text: String) {
        // Carriage return, then "erase to the end of the line" (ECMA-48 EL).
        try? Descriptor.standardError.write(Array("\r\(text)\u{1B}[K".utf8))
    }
}
