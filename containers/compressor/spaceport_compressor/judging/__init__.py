"""What a delivered file costs in looks, by rendering it, and the choice among several."""
