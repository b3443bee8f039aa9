// Part of Cairn, a content-addressed blob store.
import CairnIndex
import Testing

@Suite struct `The window of recent commits` {
    @Test func `finds what was written after a transaction began`() {
        var window = CommitWindow()
        #expect(window.append([1, 2]) == 1)
        #expect(window.append([3]) == 2)
        #expect(window.isUnchanged([1, 2], since: 1))
        #expect(!window.isUnchanged([1], since: 0))
        #expect(!window.isUnchanged([4, 3], since: 1))
        #expect(window.isUnchanged([3, 4], since: 2))
        #expect(window.isUnchanged([], since: 0))
    }

    @Test func `never forgets a conflict when generations pass`() {
        var window = CommitWindow(generationKeyCountMax: 4)
        var lastWrite: [Int: UInt64] = [:]
        for number in 0..<500 {
            let keys = (0...(number % 3)).map { (number * 7 + $0 * 11) % 20 }
            let version = window.append(keys)
            for key in keys { lastWrite[key] = version }
            for begin in 0...version {
                for key in 0..<20 where lastWrite[key, default: 0] > begin {
                    #expect(!window.isUnchanged([key], since: begin))
                }
            }
            // And does not invent any for a transaction that has only just begun.
            #expect(window.isUnchanged(Array(0..<20), since: version))
        }
    }

    @Test func `keeps at least one generation of keys valid`() {
        var window = CommitWindow(generationKeyCountMax: 10)
        for key in 0..<100 { _ = window.append([key]) }
        for back in 0...10 as ClosedRange<UInt64> {
            #expect(window.isUnchanged([1_000], since: window.version - back))
        }
        #expect(!window.isUnchanged([1_000], since: window.version - 30))
    }

    @Test func `a commit larger than a generation is kept whole`() {
        var window = CommitWindow(generationKeyCountMax: 4)
        _ = window.append([100])
        _ = window.append(Array(0..<50))
        #expect(!window.isUnchanged([49], since: 1))
        #expect(window.isUnchanged([100], since: 1))
    }
}
