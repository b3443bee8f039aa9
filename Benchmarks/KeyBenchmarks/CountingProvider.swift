// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnKeys
import Synchronization

/// A provider that is not the store's own, and counts what it is asked.
final class CountingProvider: ForwardingKeyProvider {
    private let keyring: Keyring
    private let count = Atomic(0)

    init() throws {
        keyring = try Keyring.create(
            protection: .keyFile(.random(byteCount: 32, from: SystemRandom())),
            random: SystemRandom(), clock: SystemClock())
    }

    var callCount: Int { count.load(ordering: .relaxed) }

    var base: any KeyProvider {
        count.add(1, ordering: .relaxed)
        return keyring
    }
}
