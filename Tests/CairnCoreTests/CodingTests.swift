// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct CodingTests {
    @Test func `what was written is read back`() throws {
        let octets = TestData.random(32, seed: 1)
        var writer = ByteWriter(capacity: 100)
        writer.append(UInt8(0xfe))
        writer.append(UInt16(0xfedc))
        writer.append(UInt32(0xfedc_ba98))
        writer.append(UInt64(0xfedc_ba98_7654_3210))
        writer.append(Int64(-2))
        writer.append(Octets16(octets.span.extracting(0..<16)))
        writer.append(Octets32(octets.span))
        writer.appendLengthPrefixed([1, 2, 3])
        writer.appendLengthPrefixed("größer")
        writer.appendZeros(3)
        writer.append([9, 9])
        writer.appendChecksum()
        #expect(writer.byteCount == writer.bytes.count)
        #expect(Array(writer.bytes.prefix(7)).hex == "fedcfe98badcfe")

        var reader = ByteReader(writer.bytes.span)
        #expect(try reader.readUInt8() == 0xfe)
        #expect(try reader.readUInt16() == 0xfedc)
        #expect(try reader.readUInt32() == 0xfedc_ba98)
        #expect(try reader.readUInt64() == 0xfedc_ba98_7654_3210)
        #expect(try reader.readInt64() == -2)
        #expect(try reader.readOctets16().bytes == Array(octets.prefix(16)))
        #expect(try reader.readOctets32().bytes == octets)
        #expect(try [UInt8](copying: reader.readLengthPrefixed(limit: 3)) == [1, 2, 3])
        #expect(try reader.readString(limit: 8) == "größer")
        try reader.readZeros(3)
        #expect(try [UInt8](copying: reader.readBytes(2)) == [9, 9])
        try reader.readChecksum()
        try reader.expectEnd()
        #expect(reader.offset == writer.byteCount)
    }

    @Test func `no read goes past the end, and a failed one consumes nothing`() throws {
        let bytes: [UInt8] = [1, 2, 3]
        var reader = ByteReader(bytes.span)
        _ = try reader.readUInt8()
        let reads: [(inout ByteReader) throws -> Void] = [
            { _ = try $0.readUInt32() }, { _ = try $0.readUInt64() }, { _ = try $0.readBytes(3) },
            { _ = try $0.readBytes(-1) }, { _ = try $0.readBytes(.max) },
            { _ = try $0.readOctets16() }, { _ = try $0.readOctets32() },
            { _ = try $0.readLengthPrefixed(limit: 9) }, { _ = try $0.readString(limit: 9) },
            { try $0.readZeros(3) }, { try $0.readZeros(1) }, { try $0.readChecksum() },
            { try $0.expectEnd() },
        ]
        for read in reads {
            var copy = reader
            #expect(code { try read(&copy) } == .corrupted)
            #expect(copy.offset == 1)
        }
        #expect(try reader.readUInt16() == 0x0302)
        try reader.expectEnd()
    }

    @Test(arguments: [UInt32(4), 5, 1 << 31, .max])
    func `a count beyond its limit or its end is refused`(count: UInt32) {
        var writer = ByteWriter()
        writer.append(count)
        writer.append([1, 2, 3, 4])
        var reader = ByteReader(writer.bytes.span)
        #expect(code { _ = try reader.readLengthPrefixed(limit: 3) } == .corrupted)
        if count > 4 {
            #expect(code { _ = try reader.readLengthPrefixed(limit: .max) } == .corrupted)
        }
        #expect(reader.offset == 0)
    }

    @Test func `text that is not UTF-8 is refused`() {
        var writer = ByteWriter()
        writer.appendLengthPrefixed([0xc0, 0xaf])
        var reader = ByteReader(writer.bytes.span)
        #expect(code { _ = try reader.readString(limit: 10) } == .corrupted)
        #expect(reader.offset == 0)
    }

    @Test func `a wrong checksum is refused`() throws {
        var writer = ByteWriter()
        writer.append([1, 2, 3])
        writer.appendChecksum()
        for bit in 0..<writer.byteCount * 8 {
            var bytes = writer.bytes
            bytes[bit / 8] ^= 1 << (bit % 8)
            var reader = ByteReader(bytes.span)
            _ = try reader.readBytes(3)
            #expect(code { try reader.readChecksum() } == .corrupted)
            #expect(reader.offset == 3)
        }
    }

    @Test func `identifiers sort as their bytes do`() {
        var all = (0..<100).map { TestData.random(32, seed: UInt64($0)) }
        for index in 0..<32 { all.append(all[0].enumerated().map { $0 == index ? ~$1 : $1 }) }
        let sorted = all.sorted { $0.lexicographicallyPrecedes($1) }
        #expect(all.map { Octets32($0.span) }.sorted().map(\.bytes) == sorted)
        #expect(Set(all.map { Octets32($0.span) }).count == all.count)
        #expect(!all.map { Octets32($0.span) }.contains(Octets32()))
    }

    private func code(_ body: () throws -> Void) -> CoreError.Code? {
        do {
            try body()
            return nil
        } catch { return (error as? CoreError)?.code }
    }
}

@Suite struct CoreErrorTests {
    @Test func `errors are equal by code, and tell the cause`() {
        let cause = CoreError(.corrupted, "a block")
        let error = CoreError(.limitExceeded, "a chunk", cause: cause)
        #expect(error == CoreError(.limitExceeded, "another"))
        #expect(error != CoreError(.corrupted, "a chunk"))
        #expect(error.description == "limitExceeded: a chunk (corrupted: a block)")
        #expect(error.cause as? CoreError == cause)
        #expect(MemoryLayout<CoreError>.size == MemoryLayout<Int>.size)
        #expect(Set([error, cause, CoreError(.corrupted, "")]).count == 2)
    }
}
