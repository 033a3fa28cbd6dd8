package dev.oncegate;

import java.nio.charset.StandardCharsets;

/** The retry budgets of an engine, in this process: see {@link Engine#budgets}. */
public final class Budgets {
    private final Engine engine;

    Budgets(Engine engine) {
        this.engine = engine;
    }

    /**
     * Sets the budget of all attempts, in place of the one that there is. It starts full.
     *
     * @param budget which
     */
    public void set(RetryBudget budget) {
        Frames.use(Frames.SMALL + budget.bytes(), frame -> {
            frame.call(Export.SET_RETRY_BUDGET, engine.handle(), budget.write(frame));
            return null;
        });
    }

    /**
     * Sets the budget of an operation.
     *
     * @param operation 1 to 1,024 bytes in UTF-8
     * @param budget which
     * @throws QuotaExceededException 1,024 scopes and operations have budgets
     */
    public void setOperation(String operation, RetryBudget budget) {
        byte[] name = operation.getBytes(StandardCharsets.UTF_8);
        Frames.use(Frames.SMALL + name.length + budget.bytes(), frame -> {
            frame.call(Export.SET_OPERATION_BUDGET, engine.handle(), frame.argument(name),
                    budget.write(frame));
            return null;
        });
    }

    /**
     * Sets the budget of a scope.
     *
     * @param scope whose
     * @param budget which
     * @throws QuotaExceededException 1,024 scopes and operations have budgets
     */
    public void setScope(Scope scope, RetryBudget budget) {
        Frames.use(Frames.SMALL + scope.name.length + budget.bytes(), frame -> {
            frame.call(Export.SET_SCOPE_BUDGET, engine.handle(), scope.kind,
                    frame.argument(scope.name), budget.write(frame));
            return null;
        });
    }

    /**
     * Takes the budget of a scope away, if it has one. What the engine and the operation may spend
     * holds all the same.
     *
     * @param scope whose
     */
    public void removeScope(Scope scope) {
        Frames.use(Frames.SMALL + scope.name.length, frame -> {
            frame.call(Export.REMOVE_SCOPE_BUDGET, engine.handle(), scope.kind,
                    frame.argument(scope.name));
            return null;
        });
    }
}
