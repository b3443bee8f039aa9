// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

@Suite struct KeyringFormatTests {
    @Test(arguments: KeyringFixture.all)
    func `a keyring of version 1 opens for ever`(_ fixture: KeyringFixture) async throws {
        let keyring = try fixture.protection.open(fixture.file)
        #expect(keyring.id == "b97f09db-16c0-461e-9a9b-55e8cde82d76")
        #expect(keyring.revision == 2)
        #expect(
            keyring.keys == [
                KeyDescription(
                    id: try KeyID("a2901cdc-4366-41ba-9e15-81eacfaf3b1d"),
                    aliases: ["alias/cairn/default"], state: .enabled,
                    createdAt: FixedClock().time, currentVersion: 2)
            ])
        let context = try EncryptionContext(["store": "5a", "bucket": "Caf\u{e9}", "purpose": ""])
        let plaintext = try await keyring.decryptDataKey(
            KeyringFixture.wrapped, context: context)
        #expect(plaintext.bytes == KeyringFixture.plaintext)
    }

    @Test(arguments: KeyringFixture.all)
    func `a keyring is still written as version 1`(_ fixture: KeyringFixture) throws {
        let file = try fixture.protection.open(fixture.file).encoded()
        #expect(file.count == fixture.file.count)
        // Magic, version, derivation, counts, revision and id; then, behind the random id of the
        // edition, salt and verifier.
        #expect(file[..<48] == fixture.file[..<48])
        #expect(file[64..<128] == fixture.file[64..<128])
        // The form of the two records, up to their salts.
        #expect(file[136..<188] == fixture.file[136..<188])
        #expect(file[328..<380] == fixture.file[328..<380])
    }
}

/// Files of format version 1, whose every byte was also read by an independent implementation.
struct KeyringFixture: Sendable {
    static let all = [
        Self(protection: .passphrase, file: bytes(passphraseFile)),
        Self(protection: .keyFile, file: bytes(keyFileFile)),
    ]

    let protection: ProtectionKind
    let file: [UInt8]

    /// Under version 2 of the key, in the context that the test names.
    static let wrapped = bytes(
        """
        43524e3104020000020000002000000020000000a2901cdc436641ba9e1581eacfaf3b1db97f09db
        16c0461e9a9b55e8cde82d767ddb85e41173b2d572cd7fa4030dc160f7d51e291eca74a96d7fa64c
        78d12239c89292cd57f8294c4aed370cd78c51991d378fef975db91828e68b97e9de08d32ee65720
        a760ea0c29f20f3236138d49955b1a549f154f1455b644706f6e9cb1b79a783cff5bbab16994f835
        115d3e081d6db1edb8ba88bb00000000
        """)

    static let plaintext = bytes(
        """
        26efeeb2233a535e312a88a5ec193d8c474c234e1c31dc46e544ea2a0f9d5d94
        """)

    private static func bytes(_ digits: String) -> [UInt8] {
        let values = digits.compactMap(\.hexDigitValue)
        return stride(from: 0, to: values.count, by: 2).map {
            UInt8(values[$0] << 4 | values[$0 + 1])
        }
    }

    private static let passphraseFile = """
        43524e4b52494e47010001040100000001000000020000000200000000000000b97f09db16c0461e
        9a9b55e8cde82d7697769d23e09e3cc5a7de2fdda6b0c583235d8ef24903ae2df4426de018653949
        a943c319a47824f241b98f8e78d01ed45a39bd5529a64b96bf8945666f2de5c7a1bb779d48fa7a4d
        d598d7be1d81b62c5d3f27a00000000043524e310502000000000000310000003100000000000000
        000000000000000000000000000000000000000000000000000000007e1e2d1d5c8b1eae8ad5041f
        8a1e06fb18309e8ae8e689d0887edcca314f92368cf1481a3a1542cba2d9a9b33c7082b343d6e806
        1f91427ace7ddefe7ac8de9ae356de3994e56ab67a1b9fdd8553d02152185b74b9d1e11aedadde15
        8d11d3ad9ec7c8d67bd9770429dadc66d9c61ce7bb626301749c684e52638fdf94e94d26c3486bc6
        d6804818ce00000043524e3104020000010000007000000070000000000000000000000000000000
        00000000000000000000000000000000000000002d8772ae8667fcda46ea3f1951df14ccd2bc8e7c
        aa8abf39753ebc351e7ef1b1fd5dee4fe1b3f93f92dba5410288eaa1aea771be0815ca4c813ad2b2
        78047b8921de9ad8acedcd744167c4047704b7a7d3d26cda1c79241c739fe1c3220e7af981881e3d
        e93519139e11c25c67459f1bd71f994098001d5bda024c954d75cc1eb22c75d45ff45d78ccfaa94a
        571daedb693691df93dfb42c73b191980be1d9c37a8d60a29fe13e07c762c1c8f582900a7a59cd51
        c929b54f5d2e8d469598eb432e8aa8ee83d8bc4400000000
        """

    private static let keyFileFile = """
        43524e4b52494e47010002000000000000000000020000000200000000000000b97f09db16c0461e
        9a9b55e8cde82d7697769d23e09e3cc5a7de2fdda6b0c583235d8ef24903ae2df4426de018653949
        a943c319a47824f241b98f8e78d01ed4b05b5aa5af39ad310b82cd95f69201e40442ac7046c88aef
        a09a468e0a7b60a059a093a60000000043524e310502000000000000310000003100000000000000
        000000000000000000000000000000000000000000000000000000007e1e2d1d5c8b1eae8ad5041f
        8a1e06fb18309e8ae8e689d0887edcca314f9236f9c50f70dcda4b7d4cb285698765c12d537806eb
        95481a35d5b618a5dd12456023740a9d9c82e9562588e35f345ffff054a1b751a608317a494435bf
        e0b31ba3850dbafdf272dc00b0b708a6e53ea6749ec6d5c2d9f1556321ddf8df79fbd8dfdb686868
        573178c0f400000043524e3104020000010000007000000070000000000000000000000000000000
        00000000000000000000000000000000000000002d8772ae8667fcda46ea3f1951df14ccd2bc8e7c
        aa8abf39753ebc351e7ef1b14d0540a8e3f979a4808c8cfa1b8f1999d5afbfce0b1c6ac232c777a1
        2ea2d492b953e52dcb164d3d60d08ebf4a670947247a2e719edff631cd73626efd60e5147dd2d83c
        add128b6354629ccd7349a307240ec800581ebbd093a1d44a0273a281a89a1875d1a563af4f9645a
        6df5de71abb726728e3e32f5740f7da64e2985ee3d434c2debd694fa96bbdd300844d1808e32f675
        bc6443766fb7150f2e65cd98ddb13d9631be491400000000
        """
}
