// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

@testable import CairnPKCS11

extension SoftHSMTests {
    @Suite struct ThreadTests {
        private let context: EncryptionContext

        init() throws { context = try EncryptionContext(["bucket": "5a"]) }

        @Test func `a thousand calls at once are answered by three threads`() async throws {
            let token = try await SoftToken()
            let faults = try FaultyLibrary()
            var configuration = token.configuration()
            configuration.threadCount = 3
            try await withProvider(on: configuration, faults: faults) { provider in
                try await provider.createKey(alias: KeyReference.defaultAlias)
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<1000 {
                        group.addTask {
                            let context = try EncryptionContext(["number": "\(number)"])
                            let dataKey = try await provider.generateDataKey(
                                under: .default, context: context)
                            let plaintext = try await provider.decrypt(
                                dataKey.wrapped, context: context)
                            return plaintext.bytes == dataKey.plaintext.bytes
                        }
                    }
                    for try await isSame in group { #expect(isSame) }
                }
                #expect((1...3).contains(faults.runningCountMax))
            }
        }

        @Test func `closing ends calls that wait and lets those under way finish`() async throws {
            let token = try await SoftToken()
            let faults = try FaultyLibrary()
            var configuration = token.configuration()
            configuration.threadCount = 2
            try await withProvider(on: configuration, faults: faults) { provider in
                try await provider.createKey(alias: KeyReference.defaultAlias)
                faults.setGate(isOpen: false)
                let begun = faults.callCount("C_GenerateRandom")
                let calls = (0..<20).map { _ in makeDataKey(provider) }
                while faults.callCount("C_GenerateRandom") < begun + 2 { await Task.yield() }
                let closing = Task { await provider.close() }
                // Calls that are refused from now on say that closing has begun.
                while await makeDataKey(provider).value == nil { await Task.yield() }
                faults.setGate(isOpen: true)
                await closing.value
                #expect(faults.callCount("C_Finalize") == 1)
                var codes: [KeyError.Code?] = []
                for call in calls { codes.append(await call.value) }
                #expect(codes.count(where: { $0 == nil }) == 2)
                #expect(codes.count(where: { $0 == .unavailable }) == 18)
                // Closing again changes nothing.
                await provider.close()
            }
        }

        @Test func `calls beyond those that may wait are refused`() async throws {
            let token = try await SoftToken()
            let faults = try FaultyLibrary()
            var configuration = token.configuration()
            configuration.threadCount = 1
            configuration.waitingCountMax = 5
            try await withProvider(on: configuration, faults: faults) { provider in
                try await provider.createKey(alias: KeyReference.defaultAlias)
                faults.setGate(isOpen: false)
                let first = makeDataKey(provider)
                while faults.callCount("C_GenerateRandom") == 0 { await Task.yield() }
                let others = (0..<8).map { _ in makeDataKey(provider) }
                // Three are answered while the thread waits, and only those.
                var answers = 0
                await withTaskGroup(of: KeyError.Code?.self) { group in
                    for call in others { group.addTask { await call.value } }
                    for await code in group {
                        answers += 1
                        #expect(code == (answers <= 3 ? .unavailable : nil))
                        if answers == 3 { faults.setGate(isOpen: true) }
                    }
                }
                #expect(await first.value == nil)
            }
        }

        @Test func `a call that is cancelled while it waits is not made`() async throws {
            let token = try await SoftToken()
            let faults = try FaultyLibrary()
            var configuration = token.configuration()
            configuration.threadCount = 1
            try await withProvider(on: configuration, faults: faults) { provider in
                try await provider.createKey(alias: KeyReference.defaultAlias)
                faults.setGate(isOpen: false)
                let first = makeDataKey(provider)
                while faults.callCount("C_GenerateRandom") == 0 { await Task.yield() }
                let created = faults.callCount("C_GenerateKey")
                let waiting = Task<KeyError.Code?, Never> {
                    do throws(KeyError) {
                        try await provider.rotateKey(.default)
                        return nil
                    } catch {
                        return error.code
                    }
                }
                waiting.cancel()
                #expect(await waiting.value == .unavailable)
                faults.setGate(isOpen: true)
                #expect(await first.value == nil)
                _ = try await provider.describeKey(.default)
                #expect(faults.callCount("C_GenerateKey") == created)
            }
        }

        @Test func `one alias that many ask for at once is given once`() async throws {
            try await withProvider { _, provider in
                await withTaskGroup(of: KeyError.Code?.self) { group in
                    for _ in 0..<8 {
                        group.addTask {
                            do throws(KeyError) {
                                try await provider.createKey(alias: "alias/one")
                                return nil
                            } catch {
                                return error.code
                            }
                        }
                    }
                    var codes: [KeyError.Code?] = []
                    for await code in group { codes.append(code) }
                    #expect(codes.count(where: { $0 == nil }) == 1)
                    #expect(codes.count(where: { $0 == .aliasExists }) == 7)
                }
                let count = try await provider.keys().count
                #expect(count == 2)
            }
        }

        /// The code of the error, nil for a data key.
        private func makeDataKey(_ provider: PKCS11KeyProvider) -> Task<KeyError.Code?, Never> {
            Task { [context] in
                do throws(KeyError) {
                    _ = try await provider.generateDataKey(under: .default, context: context)
                    return nil
                } catch {
                    return error.code
                }
            }
        }
    }
}
