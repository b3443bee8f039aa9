// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct HKDFTests {
    struct Vector: Sendable {
        let name: String
        let secret: String
        let salt: String
        let info: String
        let output: String
    }

    /// Project Wycheproof, testvectors_v1/hkdf_sha512_test.json: tests 3, 5, 20, 64, 72 and 75.
    static let vectors = [
        Vector(
            name: "3: empty salt", secret: "a4748031a14d3e6aafe42aa20c568f5f", salt: "", info: "",
            output: """
                62ea97e06051e40b79deb127a4da294f557cafa3d7a90a75c02064571dfbbe46
                99129bdcec4b39eed7757ce8e3571589f7d8f5523c0dc3fd6a56b099fb4bfd51
                """),
        Vector(
            name: "5: less than a block", secret: "c181696a19ab1a32eb6e81b2925d8990", salt: "",
            info: "d8c8de92fe5422c9825996354db1821ba43a81ac",
            output: """
                bd646410b4ef179e10369db6d7e4fe841e7915f8ae793b8f49149c05a0cee691
                b234c8cbb51c8b038b7a
                """),
        Vector(
            name: "20: long salt", secret: "24a37db03dbcffbe9e28d582d0d8c60a",
            salt: """
                4c3d3b4f5436418713fbe2fbc4d647095ce5d5392dcfffd20327187e14fb6836
                0b94c5122203292d8b648a754ab70f6d3d61e0650f06d55c4b5762cba0231e27
                """,
            info: "8cd9e7b786a74bd370bae434e31a559bdf75d65f",
            output: """
                ea18185ff290f27480f625404a39d56582a1bcd8f74f97cfccb898ddf2611833
                ed57fa46e88e145b604d
                """),
        Vector(
            name: "64: one block",
            secret: "59ee8495dd1744f06cd1009858da52fc81490e1547e0f8b173da0818dcfa0ad3",
            salt: "31a144d8fd2c31ec7d6fd63de0c70e15149ec0f10595ea2d3e4a7db54826",
            info: "4d5ca4ab21d09ad04d3c7a71b5c8a8822f1ec808",
            output: """
                9ca5aebd961dc42fc40eea99d12a196f6c34d36aa0f3784157db68f6e1feae71
                fe45f8ae63248b12f52a96109b03101970f580eaedb7afc29515861c75ce3898
                """),
        Vector(
            name: "72: four blocks",
            secret: """
                908959c6b518c7cc6fdf24ee7d1c05327a1fdacd08b1d66cf7ad554cdeb724e0
                445a3741ca47d58f5e67a7514f4834107d710bbdb6a8c1e2d37349ffdad7dd2a
                """,
            salt: """
                d22c064b2b3a63abe1b4348fa38b9f5ad44167a2588a2b1af8fa862f95a11da7
                a5847a0db68d80815734f8260ed29a9226c678d0a60f7aa3cc39a0f9e9a02513
                """,
            info: "cefa421c2bac0569",
            output: """
                621851c73876e92e257113bcb8e8ddc810f6985910304c5b481ebd50d600a03c
                1f1a7720d7256aabcd74661559c629571a48cf7647acf50e800d8069814a00ab
                01c34725bffa515377b9bf26cc3074128e2dc0baa1d765459b92ce5851bff217
                895c9fa39b708743b0e6be5a80af85eea19f7861dc46e77c1dad0ec89cb7c66b
                42b7b6eaf7cc02d9711e70284dabbf908636ca4cee1148d094519ea8830e0c7a
                4bf55bb5756a556bea239f200d4faa5c2991e8e9306c65b3811ceeb881474bc8
                4fec0a9fffa8da7733a51dda2e95c04a3d88ebc5c429b2c700e5a1bad5739f89
                7c671d45e026595e13c3f71abbe37e79befcbe1ea18cfe3b2e33c387a8489659
                """),
        Vector(
            name: "75: salt of 65 bytes",
            secret: """
                ddba77f227f237c791c07ee7e1ce9d933ecad3614212cc98d4f12afc90a3b21f
                4c7c3b4c54f44ad7d1e8ce45cd36aad5cb0bbf84e90cb054a1e7dc558690c5fa
                """,
            salt: """
                bd37d35e915d6a3431e8ab0fe1f1a3d129d9b6dfcdcb627ae7eb6d15068145cf
                f05fa37e6bca0721e9ae696281759f6f1f6784db7c8d30c4b75342ec6d6a1cc2af
                """,
            info: "6b478027231379b6bbed6c61732aad5636b5aab2",
            output: "54b3b9a5d7f1713194b8e0621d8d33c6f2034b5005d47bbc90e5883d6af9bc42"),
    ]

    @Test(arguments: vectors)
    func `HKDF gives the published output`(vector: Vector) throws {
        let expected = [UInt8](hex: vector.output)
        var output = [UInt8](repeating: 0, count: expected.count)
        var span = output.mutableSpan
        try hkdfSHA512(
            secret: [UInt8](hex: vector.secret).span, salt: [UInt8](hex: vector.salt).span,
            info: [UInt8](hex: vector.info).span, into: &span)
        #expect(output == expected)
    }

    @Test func `HKDF gives 16,320 bytes and not one more`() throws {
        var output = [UInt8](repeating: 0, count: 16_321)
        #expect(throws: CoreError(.limitExceeded, "")) {
            var span = output.mutableSpan
            try hkdfSHA512(secret: Span(), salt: Span(), info: Span(), into: &span)
        }
        output.removeLast()
        var span = output.mutableSpan
        try hkdfSHA512(secret: Span(), salt: Span(), info: Span(), into: &span)
    }
}

@Suite struct ScryptTests {
    /// RFC 7914, 12: the first three.
    static let vectors: [(passphrase: String, salt: String, cost: ScryptCost, key: String)] = [
        (
            "", "", ScryptCost(n: 16, r: 1, p: 1),
            """
            77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442
            fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906
            """
        ),
        (
            "password", "NaCl", ScryptCost(n: 1024, r: 8, p: 16),
            """
            fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162
            2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640
            """
        ),
        (
            "pleaseletmein", "SodiumChloride", ScryptCost(n: 16384, r: 8, p: 1),
            """
            7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2
            d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887
            """
        ),
    ]

    @Test(arguments: vectors.indices)
    func `scrypt gives the published keys`(index: Int) throws {
        let (passphrase, salt, cost, key) = Self.vectors[index]
        var output = [UInt8](repeating: 0, count: 64)
        var span = output.mutableSpan
        try scrypt(
            passphrase: Array(passphrase.utf8).span, salt: Array(salt.utf8).span, cost: cost,
            into: &span)
        #expect(output == [UInt8](hex: key))
    }

    @Test(arguments: [
        ScryptCost(n: 0, r: 8, p: 1), ScryptCost(n: 1, r: 8, p: 1), ScryptCost(n: 3, r: 8, p: 1),
        ScryptCost(n: 16, r: 0, p: 1), ScryptCost(n: 16, r: 8, p: 0),
    ])
    func `a cost that scrypt does not define is refused`(cost: ScryptCost) {
        var output = [UInt8](repeating: 0, count: 32)
        #expect(throws: CoreError(.invalidArgument, "")) {
            var span = output.mutableSpan
            try scrypt(passphrase: Span(), salt: Span(), cost: cost, into: &span)
        }
    }

    @Test(arguments: [
        ScryptCost(n: 1 << 63, r: .max, p: .max), ScryptCost(n: 1 << 21, r: 8, p: 1),
        ScryptCost(n: 1 << 10, r: 8, p: 1 << 20), ScryptCost(n: 2, r: .max, p: 1),
    ])
    func `a cost beyond the limits is refused before it is paid`(cost: ScryptCost) {
        var output = [UInt8](repeating: 0, count: 32)
        #expect(throws: CoreError(.limitExceeded, "")) {
            var span = output.mutableSpan
            try scrypt(passphrase: Span(), salt: Span(), cost: cost, into: &span)
        }
    }
}
