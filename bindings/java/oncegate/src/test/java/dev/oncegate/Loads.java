package dev.oncegate;

/** A process of its own, since a library is loaded once: opens an engine, and says what came. */
final class Loads {
    private Loads() {}

    public static void main(String[] arguments) {
        for (int i = 0; i < 2; i++) {
            try (Engine engine = Engine.open(EngineOptions.builder().capacity(100).build())) {
                Request request = Request.of(Scope.named("acme"), "op", "key");
                Admission.Admitted first = (Admission.Admitted) engine.begin(request);
                first.lease().complete(Outcome.of(200));
                System.out.println(Library.BINDING.name() + ' ' + engine.begin(request));
            } catch (LibraryException refused) {
                System.out.println(refused.status() + ": " + refused.getMessage());
            }
        }
    }
}
