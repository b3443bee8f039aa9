// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnTestSupport
import Testing

@testable import CairnKeys

/// Grants as a keyring keeps them; what they allow is in `GrantedKeysTests`.
@Suite struct KeyGrantTests {
    private let clock = ManualClock()
    private let key: KeyReference
    private let other: KeyReference
    private let context: EncryptionContext

    init() throws {
        key = try KeyReference("alias/granted")
        other = try KeyReference("alias/other")
        context = try EncryptionContext(["bucket": "b"])
    }

    private func makeKeyring() throws -> Keyring {
        try ProtectionKind.keyFile.makeKeyring(clock: clock).addingKey(alias: key.text)
            .addingKey(alias: other.text)
    }

    private func reopened(_ keyring: Keyring) throws -> Keyring {
        let again = try ProtectionKind.keyFile.open(keyring.encoded(), clock: clock)
        for key in keyring.keys.map({ KeyReference($0.id) }) {
            #expect(try again.grants(of: key) == keyring.grants(of: key))
        }
        return again
    }

    // MARK: - Creation

    @Test func `a grant says what it was made with, and keeps that in its file`() throws {
        let start = try makeKeyring()
        let (keyring, grant) = try start.addingGrant(
            to: key, name: "for:a/job_-1", granteePrincipal: "user/ann",
            retiringPrincipal: "user/bob", operations: [.decrypt, .encrypt],
            constraint: .contextSubset(context))
        #expect(keyring.revision == start.revision + 1)
        let again = try reopened(keyring)
        #expect(try again.grants(of: key) == [grant])
        #expect(try again.grants(of: other) == [])
        #expect(Octets16(uuid: grant.id) != nil)
        #expect(grant.name == "for:a/job_-1")
        #expect(grant.granteePrincipal == "user/ann")
        #expect(grant.retiringPrincipal == "user/bob")
        #expect(grant.operations == [.decrypt, .encrypt])
        #expect(grant.constraint == .contextSubset(context))
        #expect(grant.createdAt == clock.now())
    }

    @Test func `grants are listed in the order of their creation`() throws {
        var keyring = try makeKeyring()
        var ids: [String] = []
        for number in 0..<20 {
            clock.advance(by: .seconds(number % 3 - 1))
            let next = try keyring.addingGrant(
                to: key, granteePrincipal: "p\(number)", operations: [.decrypt])
            ids.append(next.grant.id)
            keyring = next.keyring
        }
        #expect(try reopened(keyring).grants(of: key).map(\.id) == ids)
    }

    @Test func `a named grant can be made again, and is the same`() throws {
        let (keyring, grant) = try makeKeyring().addingGrant(
            to: key, name: "n", granteePrincipal: "p", operations: [.decrypt, .encrypt],
            constraint: .contextEquals(context))
        clock.advance(by: .seconds(60))
        let (same, again) = try reopened(keyring).addingGrant(
            to: key, name: "n", granteePrincipal: "p", operations: [.encrypt, .decrypt],
            constraint: .contextEquals(context))
        #expect(again == grant)
        #expect(same.revision == keyring.revision)
        #expect(try same.grants(of: key) == [grant])
    }

    @Test func `a grant that differs in anything, or has no name, is another one`() throws {
        let all: Set<KeyOperation> = [.decrypt]
        var keyring = try makeKeyring()
        let makers: [(Keyring) throws -> (keyring: Keyring, grant: KeyGrant)] = [
            { try $0.addingGrant(to: key, name: "n", granteePrincipal: "p", operations: all) },
            { try $0.addingGrant(to: other, name: "n", granteePrincipal: "p", operations: all) },
            { try $0.addingGrant(to: key, name: "m", granteePrincipal: "p", operations: all) },
            { try $0.addingGrant(to: key, name: "n", granteePrincipal: "q", operations: all) },
            {
                try $0.addingGrant(
                    to: key, name: "n", granteePrincipal: "p", retiringPrincipal: "p",
                    operations: all)
            },
            {
                try $0.addingGrant(
                    to: key, name: "n", granteePrincipal: "p", operations: [.decrypt, .encrypt])
            },
            {
                try $0.addingGrant(
                    to: key, name: "n", granteePrincipal: "p", operations: all,
                    constraint: .contextSubset(context))
            },
            {
                try $0.addingGrant(
                    to: key, name: "n", granteePrincipal: "p", operations: all,
                    constraint: .contextEquals(context))
            },
            { try $0.addingGrant(to: key, granteePrincipal: "p", operations: all) },
            { try $0.addingGrant(to: key, granteePrincipal: "p", operations: all) },
        ]
        var ids: Set<String> = []
        for make in makers {
            let next = try make(keyring)
            #expect(ids.insert(next.grant.id).inserted)
            keyring = next.keyring
        }
        #expect(try reopened(keyring).grants(of: key).count == makers.count - 1)
    }

    @Test(arguments: [
        "", " ", "a b", "a\n", "\u{e9}", "\u{212a}", "a\u{0}", "\u{7f}",
        String(repeating: "p", count: 257),
    ])
    func `a malformed principal is refused wherever there is one`(_ principal: String) throws {
        let keyring = try makeKeyring()
        #expect(throws: KeyError.with(.invalidArgument)) {
            try keyring.addingGrant(to: key, granteePrincipal: principal, operations: [.decrypt])
        }
        #expect(throws: KeyError.with(.invalidArgument)) {
            try keyring.addingGrant(
                to: key, granteePrincipal: "p", retiringPrincipal: principal,
                operations: [.decrypt])
        }
        #expect(throws: KeyError.with(.invalidArgument)) {
            try keyring.retiringGrant("id", by: principal)
        }
        #expect(throws: KeyError.with(.invalidArgument)) { try keyring.acting(as: principal) }
    }

    @Test(arguments: ["", "a b", "a.b", "\u{e9}", String(repeating: "n", count: 257)])
    func `a malformed name is refused`(_ name: String) throws {
        let keyring = try makeKeyring()
        #expect(throws: KeyError.with(.invalidArgument)) {
            try keyring.addingGrant(
                to: key, name: name, granteePrincipal: "p", operations: [.decrypt])
        }
    }

    @Test func `a grant of nothing, of no key, or of one that may not be used is refused`() throws {
        let keyring = try makeKeyring()
        #expect(throws: KeyError.with(.invalidArgument)) {
            try keyring.addingGrant(to: key, granteePrincipal: "p", operations: [])
        }
        for (keyring, reference, code) in try [
            (keyring, KeyReference("alias/unknown"), KeyError.Code.keyNotFound),
            (keyring.settingKey(key, isEnabled: false), key, .keyDisabled),
            (keyring.schedulingDeletion(of: key, afterDays: 7), key, .keyDisabled),
        ] {
            #expect(throws: KeyError.with(code)) {
                try keyring.addingGrant(
                    to: reference, granteePrincipal: "p", operations: [.decrypt])
            }
        }
        #expect(throws: KeyError.with(.keyNotFound)) {
            try keyring.grants(of: KeyReference("alias/unknown"))
        }
    }

    // MARK: - Limits

    @Test func `a key has a thousand grants`() throws {
        var keyring = try makeKeyring()
        for number in 0..<1000 {
            keyring = try keyring.addingGrant(
                to: key, name: "\(number)", granteePrincipal: "p", operations: [.decrypt]
            ).keyring
        }
        keyring = try reopened(keyring)
        #expect(throws: KeyError.with(.limitExceeded)) {
            try keyring.addingGrant(to: key, granteePrincipal: "p", operations: [.decrypt])
        }
        // One that is there needs no room, and other keys have their own.
        _ = try keyring.addingGrant(
            to: key, name: "999", granteePrincipal: "p", operations: [.decrypt])
        _ = try keyring.addingGrant(to: other, granteePrincipal: "p", operations: [.decrypt])
    }

    @Test func `the largest key there can be fits into its record`() throws {
        let longest = String(repeating: "\u{10400}", count: 256)
        let tags = Dictionary(
            uniqueKeysWithValues: (10..<60).map { ("\($0)" + longest.prefix(126), longest) })
        let value = String(repeating: "v", count: EncryptionContext.valueByteCountMax)
        let large = try EncryptionContext(["a": value, "b": value, "c": value])
        var keyring = try makeKeyring().settingRotation(periodDays: 90, of: key)
            .describingKey(key, as: String(repeating: "d", count: 8192))
            .taggingKey(key, with: tags)
        for _ in 1..<CustomerKey.materialCountMax {
            clock.advance(by: .seconds(90 * 86_400))
            keyring = try #require(try keyring.rotatingDueKeys())
        }
        var byteCount = 0
        while let next = try? keyring.addingGrant(
            to: key, granteePrincipal: "p", operations: [.decrypt],
            constraint: .contextSubset(large))
        {
            keyring = next.keyring
            byteCount += next.grant.encodedByteCount
        }
        #expect(throws: KeyError.with(.limitExceeded)) {
            try keyring.addingGrant(
                to: key, granteePrincipal: "p", operations: [.decrypt],
                constraint: .contextSubset(large))
        }
        #expect(byteCount > CustomerKey.grantsByteCountMax - large.encoded.count - 64)
        let record = try keyring.contents.key(key).encoded
        #expect(record.byteCount < RecordHeader.plaintextByteCountMax)
        #expect(try reopened(keyring).keys == keyring.keys)
    }

    @Test func `a grant takes as many bytes as it says`() throws {
        for grant in try makeKeyring().decorating(key).grants(of: key) {
            var writer = ByteWriter()
            grant.encode(into: &writer)
            #expect(writer.byteCount == grant.encodedByteCount)
        }
    }

    // MARK: - End

    @Test func `who may retire a grant does, and nobody else`() throws {
        let (plain, first) = try makeKeyring().addingGrant(
            to: key, granteePrincipal: "ann", retiringPrincipal: "bob", operations: [.decrypt])
        let (keyring, second) = try plain.addingGrant(
            to: other, granteePrincipal: "ann", operations: [.retireGrant],
            constraint: .contextEquals(context))
        let mallory = "mallory"
        for (id, principal) in [
            (first.id, "ann"), (first.id, mallory), (second.id, "bob"), (second.id, mallory),
            ("", mallory), (first.id.uppercased(), "bob"), ("no id", "bob"),
            ("b97f09db-16c0-461e-9a9b-55e8cde82d76", "bob"),
        ] {
            #expect(throws: KeyError.with(.accessDenied), "\(principal)") {
                try keyring.retiringGrant(id, by: principal)
            }
        }
        let rest = try reopened(keyring.retiringGrant(first.id, by: "bob"))
        #expect(try rest.grants(of: key) == [])
        #expect(try rest.grants(of: other) == [second])
        #expect(rest.revision == keyring.revision + 1)
        let none = try rest.retiringGrant(second.id, by: "ann")
        #expect(try none.grants(of: other) == [])
    }

    @Test func `a denied retirement does not tell whether the grant exists`() throws {
        let (keyring, grant) = try makeKeyring().addingGrant(
            to: key, granteePrincipal: "ann", operations: [.decrypt])
        let errors = [grant.id, "b97f09db-16c0-461e-9a9b-55e8cde82d76"].map { id in
            #expect(throws: KeyError.self) { try keyring.retiringGrant(id, by: "mallory") }
        }
        #expect(errors[0]?.description == errors[1]?.description)
    }

    @Test func `a grant is revoked through its own key, whatever the state of that`() throws {
        let (keyring, grant) = try makeKeyring().addingGrant(
            to: key, granteePrincipal: "p", operations: [.decrypt])
        for (id, reference) in try [
            (grant.id, other), ("", key), (grant.id.uppercased(), key),
            (grant.id, KeyReference("alias/unknown")),
        ] {
            #expect(throws: KeyError.with(.keyNotFound)) {
                try keyring.revokingGrant(id, of: reference)
            }
        }
        for state in try [
            keyring, keyring.settingKey(key, isEnabled: false),
            keyring.schedulingDeletion(of: key, afterDays: 7),
        ] {
            let revoked = try reopened(state.revokingGrant(grant.id, of: key))
            #expect(try revoked.grants(of: key) == [])
            #expect(revoked.revision == state.revision + 1)
        }
    }

    @Test func `grants outlive rotation and a cancelled deletion, and go with their key`() throws {
        let (keyring, grant) = try makeKeyring().addingGrant(
            to: key, granteePrincipal: "p", operations: [.retireGrant])
        let id = try #require(keyring.keys.first { $0.aliases == [key.text] }).id
        let doomed = try keyring.rotatingKey(key).schedulingDeletion(of: key, afterDays: 7)
        #expect(try doomed.cancellingDeletion(of: key).grants(of: key) == [grant])
        clock.advance(by: .seconds(7 * 86_400))
        let gone = try reopened(#require(doomed.destroyingDueKeys()).keyring)
        #expect(throws: KeyError.with(.keyNotFound)) { try gone.grants(of: KeyReference(id)) }
        #expect(throws: KeyError.with(.accessDenied)) { try gone.retiringGrant(grant.id, by: "p") }
    }
}
