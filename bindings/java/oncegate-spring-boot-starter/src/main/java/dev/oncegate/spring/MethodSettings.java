package dev.oncegate.spring;

import dev.oncegate.Judgement;

/** What is set under {@code oncegate.methods}. */
public class MethodSettings {
    /** What a checked exception means; final: duplicates hear of it. */
    private Judgement checked = Judgement.RETRYABLE;

    /** What an unchecked exception means; final: duplicates hear of it. */
    private Judgement unchecked = Judgement.RETRYABLE;

    /** The place of the advice: those with a lower number are around it. */
    private int order = 0;

    public Judgement getChecked() {
        return checked;
    }

    public void setChecked(Judgement checked) {
        this.checked = checked;
    }

    public Judgement getUnchecked() {
        return unchecked;
    }

    public void setUnchecked(Judgement unchecked) {
        this.unchecked = unchecked;
    }

    public int getOrder() {
        return order;
    }

    public void setOrder(int order) {
        this.order = order;
    }
}
