// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

@testable import Cairn

@Suite struct TrafficTests {
    private static let day = Duration.seconds(86_400)
    private static let january = CalendarMonth(of: ManualClock().now())

    @Test func `what was delivered and asked for is on the bill, by day`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let account = store.defaultAccount
        let bucket = try await account.createBucket("read")
        bucket.countTransfer(1000, .anonymous)
        bucket.countTransfer(0, .sameRegion)
        bucket.countRequest(.blobRead)
        simulated.clock.advance(by: Self.day)
        bucket.countTransfer(5, .signedIn)
        bucket.countTransfer(7, .signedIn)
        for _ in 0..<3 { bucket.countRequest(.list) }
        let bill = try await account.bill(Self.january)
        let days = try #require(bill.buckets.first?.days)
        #expect(days.map(\.day) == [1, 2])
        #expect(days[0].traffic[.anonymous] == 1000 && days[0].traffic[.blobRead] == 1)
        #expect(days[1].traffic[.signedIn] == 12 && days[1].traffic[.list] == 3)
        #expect(bill.traffic[.anonymous] == 1000 && bill.traffic[.sameRegion] == 0)
        #expect(bill.total.byteNanoseconds == 0)
        // Also what was counted last before the end, and without the index.
        bucket.countTransfer(100, .anonymous)
        try await store.close()
        simulated.loseIndex()
        _ = try await simulated.repair()
        let again = try await simulated.open(seed: 2)
        let found = try await again.defaultAccount.bill(Self.january)
        #expect(found.traffic[.anonymous] == 1100)
        #expect(found.traffic[.signedIn] == 12)
        try await again.close()
    }

    @Test func `counts of very many tasks are all there`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("read")
        await withTaskGroup { group in
            for number in 0..<1000 {
                group.addTask {
                    bucket.countTransfer(UInt64(number), .anonymous)
                    bucket.countRequest(.blobRead)
                    // Enough time that some of it is written in between.
                    if number.isMultiple(of: 100) { simulated.clock.advance(by: .seconds(11)) }
                }
            }
        }
        let traffic = try await store.defaultAccount.bill(Self.january).traffic
        #expect(traffic[.anonymous] == 499_500 && traffic[.blobRead] == 1000)
        try await store.close()
    }

    @Test func `a kill loses what was counted in the last seconds, and no more`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("read")
        bucket.countTransfer(1, .anonymous)
        simulated.clock.advance(by: .seconds(11))
        bucket.countTransfer(2, .anonymous)
        // Behind what that has begun to write.
        try await bucket.put([1])
        bucket.countTransfer(4, .anonymous)
        let again = try await simulated.afterPowerCut(seed: 1).open(seed: 2)
        #expect(try await again.defaultAccount.bill(Self.january).traffic[.anonymous] == 3)
        try await again.close()
        try await store.close()
    }

    @Test func `an allowance for transfers is denied when it is used up, for the month`()
        async throws
    {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let account = store.defaultAccount
        let bucket = try await account.createBucket("read")
        try await account.setAllowances(
            Allowances(
                anonymousTransfer: Allowances.Allowance(1000, .deny),
                signedInTransfer: Allowances.Allowance(10, .warn)))
        bucket.countTransfer(999, .anonymous)
        try await bucket.checkTransfer(.anonymous)
        bucket.countTransfer(1, .anonymous)
        bucket.countTransfer(20, .signedIn)
        #expect(
            await code { try await bucket.checkTransfer(.anonymous) } == .allowanceExceeded)
        try await bucket.checkTransfer(.signedIn)
        try await bucket.checkTransfer(.sameRegion)
        let status = try await account.allowanceStatus()
        #expect(status.map(\.usedAmount) == [1000, 20] && status.allSatisfy(\.isExceeded))
        try await store.close()
        let again = try await simulated.open(seed: 2)
        let reopened = try await again.defaultAccount.bucket("read")
        #expect(
            await code { try await reopened.checkTransfer(.anonymous) } == .allowanceExceeded)
        simulated.clock.advance(by: Self.day * 31)
        try await reopened.checkTransfer(.anonymous)
        try await again.close()
    }

    @Test func `an allowance for storage is denied to buckets of its kind`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let account = store.defaultAccount
        let (hidden, open) = (
            try await account.createBucket("hidden"), try await account.createBucket("open")
        )
        try await open.setPublic(true)
        let visibilities = [try await open.isPublic(), try await hidden.isPublic()]
        #expect(visibilities == [true, false])
        try await account.setAllowances(
            Allowances(
                privateStorage: Allowances.Allowance(1000, .deny),
                publicStorage: Allowances.Allowance(1_000_000, .deny)))
        let data = TestData.random(31_000, seed: 1)
        let digest = try await hidden.put(data).digest
        // Held for the 31st part of the month it comes to the allowance.
        simulated.clock.advance(by: Self.day - .seconds(1))
        try await store.checkAllowances()
        try await hidden.put([1])
        simulated.clock.advance(by: .seconds(1))
        try await store.checkAllowances()
        #expect(await code { try await hidden.put([2]) } == .allowanceExceeded)
        #expect(await code { _ = try await hidden.beginUpload() } == .allowanceExceeded)
        try await open.put(data)
        try await hidden.deleteBlob(digest)
        #expect(await code { try await hidden.put([2]) } == .allowanceExceeded)
        let status = try await account.allowanceStatus()
        #expect(status.map(\.kind) == [.privateStorage, .publicStorage])
        #expect(status.map(\.isExceeded) == [true, false])
        simulated.clock.advance(by: Self.day * 31)
        try await store.checkAllowances()
        try await hidden.put([2])
        #expect(Allowances.freeTier(.warn).publicStorage?.amount == 50_000_000_000)
        try await check(store)
        try await store.close()
    }
}
