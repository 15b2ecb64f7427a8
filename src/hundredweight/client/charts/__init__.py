"""Charts without a plotting library: laid out once as shapes, written as SVG, HTML or PNG, or drawn on a terminal."""
